-- For how long (ms) a server has kept something without having been emptied, as a key says that goes with the rest.
local function kept_for(key)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local since = tonumber(redis.call('GET', key) or now + 1)
  if since > now then
    since = now
    redis.call('SET', key, now)
  end
  return now - since
end

