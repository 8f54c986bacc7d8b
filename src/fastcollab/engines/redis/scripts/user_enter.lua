-- Counts a connection into a room, if it is counted in itself.
-- KEYS: the user's connections
-- ARGV: connection, room, limit
-- Returns 0 if the user's connections are in as many other rooms as are allowed, or else 1.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then
  return 1
end
local others, count = {}, 0
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
  local entry = cjson.decode(value)
  for index = 2, #entry do
    local room = entry[index]
    if room ~= ARGV[2] and not others[room] then
      others[room] = true
      count = count + 1
    end
  end
end
if count >= tonumber(ARGV[3]) then
  return 0
end
local entry = cjson.decode(known)
for index = 2, #entry do
  if entry[index] == ARGV[2] then
    return 1
  end
end
entry[#entry + 1] = ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(entry))
return 1
