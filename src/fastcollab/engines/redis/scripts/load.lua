-- A document in a version: where the nearest snapshot before it is, and what follows, as far as one page goes.
-- KEYS[1] document, KEYS[2] log, KEYS[3] snapshots (see _life.lua)
-- ARGV[1] the version, or empty for the newest; ARGV[2], ARGV[3] around the token in the names of contents

local document_type, epoch, version, oldest = unpack(redis.call('HMGET', KEYS[1], 'type', 'epoch', 'version', 'oldest'))
if not epoch then
  return {'none'}
end
local wanted = tonumber(ARGV[1] ~= '' and ARGV[1] or version)
if wanted < tonumber(oldest) or wanted > tonumber(version) then
  return {'gap', version, oldest}
end
local token, base = unpack(redis.call('ZREVRANGEBYSCORE', KEYS[3], wanted, 0, 'WITHSCORES', 'LIMIT', 0, 1))
local content_key = ARGV[2] .. token .. ARGV[3]
-- A large one is fetched by itself, which spares the server two copies of it; so is one that a Cluster has moved before
-- the rest, which is an error in a script.
local length = redis.pcall('STRLEN', content_key)
local content = type(length) == 'number' and length <= 65536 and redis.call('GET', content_key)
local entry = entry_of(KEYS[2], base)
return add_page({'found', document_type, epoch, oldest, wanted, base, token, content, entry}, KEYS[2], tonumber(base),
  wanted, 512, 1048576)
