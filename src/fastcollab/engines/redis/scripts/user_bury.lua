-- Counts a user's connections through a dead node out.
-- KEYS: the user's connections, users of the node
-- ARGV: incarnation, user
local known = redis.call('HGETALL', KEYS[1])
for index = 1, #known, 2 do
  if cjson.decode(known[index + 1])[1] == ARGV[1] then
    redis.call('HDEL', KEYS[1], known[index])
  end
end
redis.call('SREM', KEYS[2], ARGV[2])
