-- Who takes part in a room.
-- KEYS: persons, nodes and presences of the room
-- Returns persons, nodes and presences by user.
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}
