-- What is to be known of a document before it is mended.
-- KEYS[1] document, KEYS[2] log, KEYS[3] gone (see _life.lua); ARGV[1] a version

local reply = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'replaced', 'mended_epoch', 'mended_version', 'mended_mark')
reply[7] = redis.call('GET', KEYS[3])
reply[8] = entry_of(KEYS[2], ARGV[1])
return reply
