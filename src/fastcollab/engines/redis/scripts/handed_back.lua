-- Takes note of a version that is known elsewhere.
-- KEYS[1] document, KEYS[2] unsaved (see _life.lua); ARGV[1] room, ARGV[2] epoch, ARGV[3] version

local epoch, version, handed_back = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'version', 'handed_back'))
if epoch ~= ARGV[2] or tonumber(ARGV[3]) <= tonumber(handed_back) then
  return 0
end
redis.call('HSET', KEYS[1], 'handed_back', ARGV[3])
if tonumber(ARGV[3]) >= tonumber(version) then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
