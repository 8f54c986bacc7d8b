-- Takes note that a node has been buried, unless it is to be once more since.
-- KEYS: burials
-- ARGV: incarnation, the time of its burial
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
