-- Deletes a document, and remembers for a while which life it was, so that no node takes it for lost and puts it back.
-- ARGV[4] how long it is remembered (ms)

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  return answer(0)
end
erase()
redis.call('SET', KEYS[6], generation_of(epoch), 'PX', ARGV[4])
return answer(1)
