-- Counts a connection out of a room.
-- KEYS: the user's connections
-- ARGV: connection, room
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then
  return
end
local entry = cjson.decode(known)
for index = 2, #entry do
  if entry[index] == ARGV[2] then
    table.remove(entry, index)
    redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(entry))
    return
  end
end
