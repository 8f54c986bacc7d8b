-- Has a user take part in a room through a node.
-- KEYS: persons, nodes and presences of the room, rooms of the node, since when rosters are kept
-- ARGV: incarnation, room, user, person, limit
-- Returns persons, nodes and presences by user, and for how long (ms) rosters have been kept without being forgotten;
--   nil if the room is full.
local node = string.match(ARGV[1], '^(.*)%.')
local known = redis.call('HGET', KEYS[2], ARGV[3])
if not known and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then
  return false
end
local through, here = {ARGV[1]}, false
for incarnation in string.gmatch(known or '', '%S+') do
  here = here or incarnation == ARGV[1]
  if string.match(incarnation, '^(.*)%.') ~= node then
    through[#through + 1] = incarnation
  end
end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[3], table.concat(through, ' '))
if not here then
  redis.call('HINCRBY', KEYS[4], ARGV[2], 1)
end
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]), kept_for(KEYS[5])}
