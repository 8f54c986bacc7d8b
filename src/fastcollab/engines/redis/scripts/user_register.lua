-- Counts a connection of a user in, if the limit allows it; one that is counted in already is not counted twice.
-- KEYS: the user's connections, users of the node, the user's number
-- ARGV: incarnation, user, connection, limit, milliseconds for which a number is kept
-- Returns nil if there are as many connections as are allowed, or else the user's number, '' if it has none.
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
    return false
  end
  redis.call('HSET', KEYS[1], ARGV[3], cjson.encode({ARGV[1]}))
  redis.call('SADD', KEYS[2], ARGV[2])
end
redis.call('PEXPIRE', KEYS[3], ARGV[5])
return redis.call('GET', KEYS[3]) or ''
