-- Appends entries to the log, all or none.
-- KEYS[1] document, KEYS[2] log, KEYS[3] results, KEYS[4] unwritten, KEYS[5] unsaved (see _life.lua)
-- ARGV[1] room, ARGV[2] epoch, ARGV[3] version of the first entry, ARGV[4] mark of the one before it, ARGV[5] mark of the
-- last one, ARGV[6] who appends, ARGV[7] 'overtaken' if its turn is to be next, ARGV[8…] of each entry: itself, its author,
-- its size
--
-- Of those who append at once the one is first that is nearest, and in a busy room one who is far away would be overtaken
-- for ever. So who has been for long is given the *turn*: until it has appended, or TURN is over, others wait.

local epoch, version, mark, bytes, handed_back, turn =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'version', 'mark', 'bytes', 'handed_back', 'turn'))
local expected = tonumber(ARGV[3]) - 1
local first, count = 8, (#ARGV - 7) / 3

-- How long (ms) a turn lasts at most.
local TURN = 2000

-- Whose turn it is, if it is anyone's.
local holder, ends
if turn or ARGV[7] == 'overtaken' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  holder, ends = string.match(turn or '', '^(%w+):(%d+)$')
  if holder and tonumber(ends) <= now then
    holder = nil
  end
  if epoch and not holder and ARGV[7] == 'overtaken' then
    holder = ARGV[6]
    redis.call('HSET', KEYS[1], 'turn', string.format('%s:%d', holder, now + TURN))
  end
end

-- How many entries, of how many bytes, a refusal has with it.
local MOST, MOST_BYTES = 128, 262144

if epoch ~= ARGV[2] then
  return {'moved'}
end
version = tonumber(version)
bytes = tonumber(bytes)
if version > expected then
  local oldest = tonumber(redis.call('HGET', KEYS[1], 'oldest'))
  if expected >= oldest and version - expected <= MOST then
    local entry, before = entry_of(KEYS[2], expected)
    if bytes - before <= MOST_BYTES then
      return add_page({'moved', entry}, KEYS[2], expected, version, MOST, MOST_BYTES)
    end
  end
end
if version ~= expected or (ARGV[4] ~= '' and ARGV[4] ~= mark) then
  return {'moved'}
end

-- No call is given more arguments than Lua's stack has room for.
local PORTION = 1000

local known = {'known'}
for from = 0, count - 1, PORTION do
  local authors = {}
  for index = from, math.min(from + PORTION, count) - 1 do
    authors[#authors + 1] = ARGV[first + 3 * index + 1]
  end
  for index, result in ipairs(redis.call('ZMSCORE', KEYS[3], unpack(authors))) do
    if result then
      known[#known + 1] = from + index - 1
      known[#known + 1] = tonumber(result)
    end
  end
end
if #known > 1 then
  return known
end
if holder and holder ~= ARGV[6] then
  return {'turn'}
end
if turn or holder then
  redis.call('HDEL', KEYS[1], 'turn')
end

for from = 0, count - 1, PORTION do
  local results = {}
  for index = from, math.min(from + PORTION, count) - 1 do
    local at = first + 3 * index
    local made = expected + index + 1
    bytes = bytes + tonumber(ARGV[at + 2])
    redis.call('XADD', KEYS[2], made .. '-0', 'e', ARGV[at], 'b', bytes)
    results[#results + 1] = made
    results[#results + 1] = ARGV[at + 1]
  end
  redis.call('ZADD', KEYS[3], unpack(results))
end
redis.call('HSET', KEYS[1], 'version', expected + count, 'bytes', bytes, 'mark', ARGV[5])
if version == 0 then
  redis.call('ZREM', KEYS[4], ARGV[1])
end
if tonumber(handed_back) >= version then
  redis.call('ZADD', KEYS[5], 0, ARGV[1])
end
return 1
