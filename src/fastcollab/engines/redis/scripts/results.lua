-- Which versions these authors made; 0 for who has made none.
-- KEYS[1] document, KEYS[2] results (see _life.lua); ARGV[1] epoch, ARGV[2…] authors

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return {}
end
local reply = {}
for index = 2, #ARGV do
  reply[#reply + 1] = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[index]) or 0)
end
return reply
