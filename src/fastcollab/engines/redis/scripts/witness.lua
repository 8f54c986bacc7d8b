-- What says that this server still has what it had: the first who asks leaves it.
-- KEYS: the witness
-- ARGV: what it is to be if there is none
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
