-- A document's life: how it begins, and how it ends.
--
-- KEYS[1] document    hash: type, epoch, base, version, oldest, bytes, mark, created_at, handed_back; turn; replaced;
--                     mended_*
-- KEYS[2] log         stream: the entry with the id <version>-0 has that entry (e), and the bytes of all up to it (b)
-- KEYS[3] results     sorted set: authors, by version
-- KEYS[4] snapshots   sorted set: by version the tokens in the names of the keys that have the contents
-- KEYS[5] eras        string: see snapshot.lua
-- KEYS[6] gone        string: the generation of a document that was deleted
-- KEYS[7] documents   of all rooms with this tag, a sorted set by name: those that have a document,
-- KEYS[8] unwritten   by the time of their making, those that were made and never written to,
-- KEYS[9] unsaved     and by name, those with a newer version than was handed back
--                     the last two with a member '' that is no room, so that they are there when there is none: from a
--                     slot that is being moved a Cluster carries out nothing that names a key which is not there
-- KEYS[10]            of some scripts what they are given: a new content, or the room's roster
-- ARGV[1] room; ARGV[2], ARGV[3] around the token in the names of contents

local room = ARGV[1]

-- Contents that are not where the rest is, as happens while a Cluster moves them: who has called drops them.
local left_behind = {}

local function drop_content(token)
  local reply = redis.pcall('UNLINK', ARGV[2] .. token .. ARGV[3])
  if type(reply) == 'table' then
    left_behind[#left_behind + 1] = token
  end
end

-- Which life this epoch is: later ones have higher numbers.
local function generation_of(epoch)
  return tonumber(string.match(epoch or '', '^(%d+)%-')) or 0
end

-- The generation that follows those that there were.
local function next_generation()
  local epoch, gone = redis.call('HGET', KEYS[1], 'epoch'), redis.call('GET', KEYS[6])
  if epoch then
    return generation_of(epoch) + 1
  end
  return gone and tonumber(gone) + 1 or 0
end

local function drop_contents()
  for _, token in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
    drop_content(token)
  end
end

-- What is answered, with the contents that were left behind.
local function answer(...)
  return {left_behind, ...}
end

-- Ends the life that there is, if there is one, without a trace.
local function erase()
  drop_contents()
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
  for index = 7, 9 do
    redis.call('ZREM', KEYS[index], room)
  end
end

-- Begins a life at this version, with the content that has this token. `handed_back` is the version that is known
-- elsewhere already, -1 for none.
local function begin(epoch, document_type, version, token, now, handed_back)
  redis.call('DEL', KEYS[6])
  redis.call('HSET', KEYS[1], 'type', document_type, 'epoch', epoch, 'base', version, 'version', version,
    'oldest', version, 'bytes', 0, 'mark', '', 'created_at', now, 'handed_back', handed_back)
  redis.call('ZADD', KEYS[4], version, token)
  redis.call('ZADD', KEYS[7], 0, room)
  redis.call('ZADD', KEYS[8], '+inf', '')
  redis.call('ZADD', KEYS[9], 0, '')
  if tonumber(handed_back) < 0 then
    redis.call('ZADD', KEYS[9], 0, room)
  end
end
