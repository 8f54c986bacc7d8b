-- Reading the log, a page at a time, so that nobody waits long for who reads much.

-- The entry that made a version, and the bytes of all up to it; none of the version that the life began with.
local function entry_of(log, version)
  local found = redis.call('XRANGE', log, version .. '-0', version .. '-0')[1]
  if found then
    return found[2][2], tonumber(found[2][4])
  end
  return '', 0
end

-- Adds the entries of the versions from `after` + 1 to `last` to `reply`: at most `most` of them and about `most_bytes`
-- bytes, but one at least.
local function add_page(reply, log, after, last, most, most_bytes)
  local _, before = entry_of(log, after)
  local count = math.min(last - after, most)
  while count > 1 do
    local _, upto = entry_of(log, after + count)
    if upto - before <= most_bytes then
      break
    end
    count = math.floor(count / 2)
  end
  if count > 0 then
    for _, found in ipairs(redis.call('XRANGE', log, (after + 1) .. '-0', (after + count) .. '-0')) do
      reply[#reply + 1] = found[2][2]
    end
  end
  return reply
end
