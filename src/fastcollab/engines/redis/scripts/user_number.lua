-- Gives a user a number, unless it has another one already.
-- KEYS: the user's number
-- ARGV: number, the one that it has if it has lost that, or '', milliseconds for which it is kept
-- Returns the number that the user has.
local known = redis.call('GET', KEYS[1])
if known and known ~= ARGV[2] then
  return known
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return ARGV[1]
