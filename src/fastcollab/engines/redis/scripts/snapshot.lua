-- Keeps a snapshot, and trims the log at the newest one that leaves what is to be kept.
-- ARGV[4] epoch, ARGV[5] version, ARGV[6] token of its content KEYS[10], empty: there is none, and what is left is trimmed
-- ARGV[7] entries, ARGV[8] bytes to be kept at most, ARGV[9] since when (ms)
-- ARGV[10] since when results are to be kept (ms), ARGV[11] time (ms)
--
-- Results outlive the log. Since they are in the order of versions and have no time of their own, *eras* say of some
-- versions that are trimmed when they were made: "version:time,…", both rising. Up to the last one that is old enough,
-- all results can go. What takes long is done in portions; the reply says whether there is more.

local PORTION = 5000

local log, results, snapshots, eras = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, version, oldest, bytes = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'version', 'oldest', 'bytes'))
local taken, token = tonumber(ARGV[5]), ARGV[6]
local most, most_bytes, since = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local remembered_since, now = tonumber(ARGV[10]), tonumber(ARGV[11])

if epoch ~= ARGV[4] then
  if token ~= '' then
    redis.call('UNLINK', KEYS[10])
  end
  return answer(taken, 0)
end
version, oldest, bytes = tonumber(version), tonumber(oldest), tonumber(bytes)

local function drop_snapshots(from, to)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', snapshots, from, to)) do
    drop_content(old)
    redis.call('ZREM', snapshots, old)
  end
end

if token ~= '' then
  if taken < oldest or taken > version then
    redis.call('UNLINK', KEYS[10])
  elseif redis.call('PERSIST', KEYS[10]) == 1 then
    drop_snapshots(taken, taken)
    redis.call('ZADD', snapshots, taken, token)
  end
end

-- When the entry was committed, its size, and the bytes of all up to it.
local function facts_of(made)
  local entry, upto = entry_of(log, made)
  local committed_at, size = string.match(entry, '^%[%d+,(%d+),(%d+),')
  return tonumber(committed_at), tonumber(size), upto
end

-- Whether the entry that made a version is to be kept.
local function is_kept(made)
  local committed_at, size, upto = facts_of(made)
  return version - made < most and bytes - upto + size <= most_bytes and committed_at >= since
end

local wanted = oldest
while true do
  local _, candidate = unpack(redis.call('ZRANGEBYSCORE', snapshots, '(' .. wanted, '+inf', 'WITHSCORES', 'LIMIT', 0, 1))
  candidate = tonumber(candidate)
  if not candidate or is_kept(candidate) then
    break
  end
  wanted = candidate
end

local known = {}
for made, time in string.gmatch(redis.call('GET', eras) or '', '(%d+):(%d+)') do
  known[#known + 1] = {tonumber(made), tonumber(time)}
end

-- Eras are as far from each other as is of use: a bit of the time for which results are kept.
local function add_era(made)
  local time = facts_of(made)
  local before = known[#known - 1]
  if before and known[#known][2] - before[2] < (now - remembered_since) / 64 then
    known[#known] = nil
  end
  known[#known + 1] = {made, time}
end

if wanted > oldest then
  -- The last of what is trimmed whose results can go at once.
  local low, high = oldest, wanted
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if facts_of(middle) < remembered_since then
      low = middle
    else
      high = middle - 1
    end
  end
  if low > oldest then
    add_era(low)
  end
  if low < wanted then
    add_era(wanted)
  end
  drop_snapshots('-inf', '(' .. wanted)
  redis.call('HSET', KEYS[1], 'oldest', wanted)
end

local more = 0
local old = 0
for index, era in ipairs(known) do
  if era[2] < remembered_since then
    old = index
  end
end
if old > 0 then
  local count = redis.call('ZCOUNT', results, '-inf', known[old][1])
  redis.call('ZREMRANGEBYRANK', results, 0, math.min(count, PORTION) - 1)
  if count > PORTION then
    more = 1
  end
end
local told = {}
for index, era in ipairs(known) do
  if index > old or (index == old and more == 1) then
    told[#told + 1] = era[1] .. ':' .. string.format('%.0f', era[2])
  end
end
if #told > 0 then
  redis.call('SET', eras, table.concat(told, ','))
else
  redis.call('DEL', eras)
end

-- Whole nodes of the stream only; the entry that made `oldest` stays, for its mark.
if redis.call('XTRIM', log, 'MINID', '~', wanted .. '-0', 'LIMIT', 2 * PORTION) >= PORTION then
  more = 1
end
return answer(wanted, more)
