-- Makes a document at version 0, or none if there is one (mode create), or in its place (mode replace).
-- ARGV[4] mode, ARGV[5] type, ARGV[6] the end of the epoch, ARGV[7] token of the content KEYS[10], ARGV[8] time (ms)

local mode, document_type, name, token, now = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

if mode == 'create' and redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('UNLINK', KEYS[10])
  return answer('exists')
end
if redis.call('PERSIST', KEYS[10]) == 0 then
  return answer('lost')
end
local epoch = next_generation() .. '-' .. name
erase()
if mode == 'create' then
  begin(epoch, document_type, 0, token, now, 0)
  redis.call('ZADD', KEYS[8], now, room)
else
  begin(epoch, document_type, 0, token, now, -1)
  redis.call('HSET', KEYS[1], 'replaced', 1)
end
return answer('made', epoch)
