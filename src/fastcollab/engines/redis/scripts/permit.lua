-- Keeps what an administrator has said of a user in a room until its time is over, and tells all nodes.
-- KEYS[1] permits (a hash, by user and room), KEYS[2] when each ends (Unix time, ms), KEYS[3] orders
-- ARGV[1] user and room, ARGV[2] the permit, as an order, ARGV[3] when it ends, ARGV[4] how many are kept at most,
-- ARGV[5] the name of the order, or '' if it was told before, and may have been forgotten since
-- ARGV[6] about how many orders are kept
local permits, ends = KEYS[1], KEYS[2]

local function forget(names)
  for _, name in ipairs(names) do
    redis.call('HDEL', permits, name)
    redis.call('ZREM', ends, name)
  end
end

local time = redis.call('TIME')
forget(redis.call('ZRANGEBYSCORE', ends, '-inf', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))))
local is_new = ARGV[5] ~= ''
if is_new or redis.call('HEXISTS', permits, ARGV[1]) == 0 then
  redis.call('HSET', permits, ARGV[1], ARGV[2])
  redis.call('ZADD', ends, ARGV[3], ARGV[1])
  forget(redis.call('ZRANGE', ends, 0, -1 - ARGV[4]))
  local last = redis.call('ZRANGE', ends, -1, -1, 'WITHSCORES')[2]
  for _, key in ipairs({ permits, ends }) do
    redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last)))
  end
end
if is_new then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'order', ARGV[2], 'name', ARGV[5])
end
