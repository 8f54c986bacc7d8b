-- Counts a connection out, and keeps for a while that it can be taken up.
-- KEYS: the user's connections, users of the node, the user's closed connections
-- ARGV: incarnation, user, connection, milliseconds for which it can be taken up
if redis.call('HDEL', KEYS[1], ARGV[3]) == 1 and tonumber(ARGV[4]) > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
  redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[3])
  redis.call('PEXPIRE', KEYS[3], math.max(redis.call('PTTL', KEYS[3]), ARGV[4]))
end
-- Also if another node has taken the connection up meanwhile: that one leaves the index to its owner.
for _, entry in ipairs(redis.call('HVALS', KEYS[1])) do
  if cjson.decode(entry)[1] == ARGV[1] then
    return
  end
end
redis.call('SREM', KEYS[2], ARGV[2])
