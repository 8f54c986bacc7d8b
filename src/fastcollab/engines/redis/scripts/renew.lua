-- Has a document go on as it is, in another epoch.
-- KEYS[1] document, KEYS[2] unsaved (see _life.lua); ARGV[1] room, ARGV[2] epoch, ARGV[3] the new one

if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'handed_back', -1)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
