-- Has nobody take part in a room through a dead node any more.
-- KEYS: persons, nodes and presences of the room, rooms of the node
-- ARGV: incarnation, room
local known = redis.call('HGETALL', KEYS[2])
for index = 1, #known, 2 do
  local through, here = {}, false
  for incarnation in string.gmatch(known[index + 1], '%S+') do
    if incarnation == ARGV[1] then
      here = true
    else
      through[#through + 1] = incarnation
    end
  end
  if #through == 0 then
    for key = 1, 3 do
      redis.call('HDEL', KEYS[key], known[index])
    end
  elseif here then
    redis.call('HSET', KEYS[2], known[index], table.concat(through, ' '))
  end
end
redis.call('HDEL', KEYS[4], ARGV[2])
