-- Has a document go on as a node remembers it, if the store still is as it was when that was decided.
-- ARGV[4] epoch and ARGV[5] version that the store must have, empty for no document, ARGV[6] generation in `gone`
-- ARGV[7] the new epoch, ARGV[8] type, ARGV[9] version, ARGV[10] token of the content KEYS[10], ARGV[11] time (ms)
-- ARGV[12] epoch and ARGV[13] mark of what is remembered, ARGV[14] whether the results that there are stay (1)
-- ARGV[15…] authors and the versions that they made

local epoch, version = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'version'))
local token, remembered = ARGV[10], tonumber(ARGV[9])

if (epoch or '') ~= ARGV[4] or (version or '') ~= ARGV[5] or (redis.call('GET', KEYS[6]) or '') ~= ARGV[6] then
  redis.call('UNLINK', KEYS[10])
  return answer('changed')
end
if redis.call('PERSIST', KEYS[10]) == 0 then
  return answer('lost')
end
if ARGV[14] == '1' then
  drop_contents()
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[4])
  redis.call('ZREM', KEYS[8], room)
else
  erase()
end
begin(ARGV[7], ARGV[8], remembered, token, ARGV[11], -1)
redis.call('HSET', KEYS[1], 'mended_epoch', ARGV[12], 'mended_version', remembered, 'mended_mark', ARGV[13])
for index = 15, #ARGV, 2 do
  redis.call('ZADD', KEYS[3], ARGV[index + 1], ARGV[index])
end
return answer('restored')
