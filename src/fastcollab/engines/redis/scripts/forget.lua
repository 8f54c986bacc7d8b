-- Forgets a document that was made before a time, was never written to, and has nobody in its room.
-- KEYS[10] the room's roster; ARGV[4] the time (ms)

local version, replaced, created_at = unpack(redis.call('HMGET', KEYS[1], 'version', 'replaced', 'created_at'))
if not version then
  redis.call('ZREM', KEYS[8], room)
  return answer(0)
end
if version ~= '0' or replaced or tonumber(created_at) >= tonumber(ARGV[4]) or redis.call('EXISTS', KEYS[10]) == 1 then
  return answer(0)
end
erase()
return answer(1)
