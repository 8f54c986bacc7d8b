-- Has a node's lease end after a while.
-- KEYS: leases, the time of the last beat
-- ARGV: incarnation, milliseconds
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], ARGV[1])
redis.call('SET', KEYS[2], now)
