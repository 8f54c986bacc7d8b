-- Adds a revocation to what is known of its subject.
-- KEYS: the revocation
-- ARGV: before, until or '' (Unix time, ms), milliseconds for which it is kept beyond that
local before, expiry = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.call('GET', KEYS[1])
if known then
  local earlier, ends = string.match(known, '^(%d+) (%d*)$')
  before = math.max(before, earlier)
  expiry = expiry and tonumber(ends) and math.max(expiry, ends)
end
redis.call('SET', KEYS[1], string.format('%.0f %s', before, expiry and string.format('%.0f', expiry) or ''))
if expiry then
  redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', expiry + ARGV[3]))
end
