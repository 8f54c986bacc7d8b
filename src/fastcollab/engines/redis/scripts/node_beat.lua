-- Renews a node's lease, and finds those whose lease has run out.
-- KEYS: leases, burials, the time of the last beat, since when leases are kept
-- ARGV: incarnation, '' if the node has not been here before; the one to go on as if that is dead; lease in ms
-- Returns the incarnation of the node from now on, those that live, those that are to be buried, the time, and for how
--   long (ms) leases have been kept without being forgotten.
local time = redis.call('TIME')
local now, lease = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[3])

-- Nodes beat three times in a lease. If nobody has for longer, the server has stood still (or nobody lives, and the
-- dead can wait), and if the time went back, it is another server: leases go on from where they were.
local gap = now - (redis.call('GET', KEYS[3]) or now)
if gap < 0 or gap > lease / 2 then
  local leases = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now - gap, '+inf', 'WITHSCORES')
  for index = 1, #leases, 2 do
    redis.call('ZADD', KEYS[1], leases[index + 1] + gap, leases[index])
  end
end
redis.call('SET', KEYS[3], now)

local incarnation = ARGV[1]
if not redis.call('ZSCORE', KEYS[1], incarnation) then
  incarnation = ARGV[2]
  if ARGV[1] ~= '' then
    -- What it has written before it knew this may have come after its burial: so there is another one, a lease later,
    -- which is not that of this very moment.
    redis.call('ZADD', KEYS[2], now + 1, ARGV[1])
  end
end
redis.call('ZADD', KEYS[1], now + lease, incarnation)

local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
-- Who was to bury these is dead itself, or has failed.
local unburied = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - lease)
for _, each in ipairs(dead) do
  redis.call('ZREM', KEYS[1], each)
end
for _, each in ipairs(unburied) do
  dead[#dead + 1] = each
end
for _, each in ipairs(dead) do
  redis.call('ZADD', KEYS[2], now, each)
end
return {incarnation, redis.call('ZRANGE', KEYS[1], 0, -1), dead, now, kept_for(KEYS[4])}
