-- Has exactly these users take part in a room through one node, whatever was known before.
-- KEYS: persons, nodes and presences of the room, rooms of the node, since when rosters are kept
-- ARGV: incarnation, room, then user and person of each
-- Returns persons, nodes and presences by user, for how long (ms) rosters have been kept without being forgotten, and
--   which users had not been known to take part through this node.
local node = string.match(ARGV[1], '^(.*)%.')
local persons, count = {}, 0
for index = 3, #ARGV, 2 do
  if not persons[ARGV[index]] then
    count = count + 1
  end
  persons[ARGV[index]] = ARGV[index + 1]
end
local function elsewhere(known)
  local through, here = {}, false
  for incarnation in string.gmatch(known or '', '%S+') do
    if string.match(incarnation, '^(.*)%.') ~= node then
      through[#through + 1] = incarnation
    else
      here = true
    end
  end
  return through, here
end
local known = redis.call('HGETALL', KEYS[2])
for index = 1, #known, 2 do
  local user, through = known[index], elsewhere(known[index + 1])
  if not persons[user] then
    if #through > 0 then
      redis.call('HSET', KEYS[2], user, table.concat(through, ' '))
    else
      for key = 1, 3 do
        redis.call('HDEL', KEYS[key], user)
      end
    end
  end
end
local new = {}
for user, person in pairs(persons) do
  local through, here = elsewhere(redis.call('HGET', KEYS[2], user))
  if not here then
    new[#new + 1] = user
  end
  through[#through + 1] = ARGV[1]
  redis.call('HSET', KEYS[1], user, person)
  redis.call('HSET', KEYS[2], user, table.concat(through, ' '))
end
if count > 0 then
  redis.call('HSET', KEYS[4], ARGV[2], count)
else
  redis.call('HDEL', KEYS[4], ARGV[2])
end
return {
  redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]), kept_for(KEYS[5]), new
}
