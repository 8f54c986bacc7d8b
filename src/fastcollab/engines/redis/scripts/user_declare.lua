-- Has exactly these be a user's connections through one node, whatever was known before.
-- KEYS: the user's connections, users of the node, the user's closed connections, the user's number
-- ARGV: incarnation, user, rooms by connection (JSON), milliseconds for which closed connections can be taken up, by
--   connection (JSON), the user's number or '', milliseconds for which a number is kept
local node = string.match(ARGV[1], '^(.*)%.')
local open, closed = cjson.decode(ARGV[3]), cjson.decode(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HGETALL', KEYS[1])
for index = 1, #known, 2 do
  local connection = known[index]
  if string.match(cjson.decode(known[index + 1])[1], '^(.*)%.') == node and not open[connection] then
    redis.call('HDEL', KEYS[1], connection)
    if closed[connection] then
      redis.call('ZADD', KEYS[3], now + closed[connection], connection)
      redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[3]), closed[connection]))
    end
  end
end
for connection, rooms in pairs(open) do
  table.insert(rooms, 1, ARGV[1])
  redis.call('HSET', KEYS[1], connection, cjson.encode(rooms))
end
redis.call(next(open) and 'SADD' or 'SREM', KEYS[2], ARGV[2])
if ARGV[5] ~= '' then
  redis.call('SET', KEYS[4], ARGV[5], 'PX', ARGV[6])
end
