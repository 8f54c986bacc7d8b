-- Has another connection take the place of this one, if it is open, or was closed not long ago.
-- KEYS: the user's connections, the user's closed connections
-- ARGV: connection
-- Returns the incarnation of the node where it is open, '' if it is closed, nil if it is unknown.
local open = redis.call('HGET', KEYS[1], ARGV[1])
if open then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return cjson.decode(open)[1]
end
local deadline = redis.call('ZSCORE', KEYS[2], ARGV[1])
if deadline then
  redis.call('ZREM', KEYS[2], ARGV[1])
  local time = redis.call('TIME')
  if tonumber(deadline) > time[1] * 1000 + math.floor(time[2] / 1000) then
    return ''
  end
end
return false
