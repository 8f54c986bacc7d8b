-- Keeps the presence of users who take part in a room through this node.
-- KEYS: nodes and presences of the room
-- ARGV: incarnation, then user and presence of each
for index = 2, #ARGV, 2 do
  local through = redis.call('HGET', KEYS[1], ARGV[index])
  if through and string.find(' ' .. through .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
    redis.call('HSET', KEYS[2], ARGV[index], ARGV[index + 1])
  end
end
