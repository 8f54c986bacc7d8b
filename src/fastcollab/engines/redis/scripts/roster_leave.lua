-- Has a user take part in a room through a node no more.
-- KEYS: persons, nodes and presences of the room, rooms of the node
-- ARGV: incarnation, room, user
local node = string.match(ARGV[1], '^(.*)%.')
local through, here = {}, false
for incarnation in string.gmatch(redis.call('HGET', KEYS[2], ARGV[3]) or '', '%S+') do
  here = here or incarnation == ARGV[1]
  if string.match(incarnation, '^(.*)%.') ~= node then
    through[#through + 1] = incarnation
  end
end
if #through > 0 then
  redis.call('HSET', KEYS[2], ARGV[3], table.concat(through, ' '))
else
  for index = 1, 3 do
    redis.call('HDEL', KEYS[index], ARGV[3])
  end
end
if here and redis.call('HINCRBY', KEYS[4], ARGV[2], -1) <= 0 then
  redis.call('HDEL', KEYS[4], ARGV[2])
end
