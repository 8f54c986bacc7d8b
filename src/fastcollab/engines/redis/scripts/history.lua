-- A page of the log, and the entry before it.
-- KEYS[1] document, KEYS[2] log (see _life.lua)
-- ARGV[1] epoch, ARGV[2] the version after which it begins, ARGV[3] the last version, or empty

local epoch, version, oldest = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'version', 'oldest'))
local after, last = tonumber(ARGV[2]), tonumber(version)

if epoch ~= ARGV[1] then
  return {'moved'}
end
if after < tonumber(oldest) or after > last then
  return {'gap', version, oldest}
end
if ARGV[3] ~= '' then
  last = math.min(last, tonumber(ARGV[3]))
end
local entry = entry_of(KEYS[2], after)
return add_page({'page', last, entry}, KEYS[2], after, last, 512, 1048576)
