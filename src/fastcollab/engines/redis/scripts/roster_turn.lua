-- Whether somebody takes part in a room now, if that is not as it was when this was last asked.
-- KEYS: nodes of the room, rooms that were said to be occupied
-- ARGV: room
-- Returns 1 or 0, and the time; or nil.
local occupied = redis.call('EXISTS', KEYS[1])
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == occupied then
  return false
end
redis.call(occupied == 1 and 'SADD' or 'SREM', KEYS[2], ARGV[1])
local time = redis.call('TIME')
return {occupied, time[1] * 1000 + math.floor(time[2] / 1000)}
