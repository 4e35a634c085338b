-- One hash per (lane, partition). Its fields:
--   (empty)      head: position (8 bytes, big-endian), then the fold's bytes
--   \255 o       owner token
--   \255 v       version: grows with every commit, so that a scan sees that one came between
--   \255 s KEY   state of a key that begins with \254 or \255, or is empty
--   \254 KEY     derived value
--   KEY          state of any other key
-- Whatever may fail comes before the first write.

local HEAD, OWNER, VERSION = '', '\255o', '\255v'
-- Lua puts no more than about 8,000 values on its stack.
local SLICE = 4000

local function write(command, key, args, first, last)
  for from = first, last, SLICE do
    redis.call(command, key, unpack(args, from, math.min(from + SLICE - 1, last)))
  end
end

-- args: owner. Returns the head.
local function claim(keys, args)
  local stored = redis.call('HMGET', keys[1], HEAD, VERSION)
  if stored[2] then
    redis.call('HSET', keys[1], OWNER, args[1])
  else
    -- Microseconds: a lane that is removed and comes back never has a version again.
    local now = redis.call('TIME')
    redis.call('HSET', keys[1], OWNER, args[1], VERSION, string.format('%s%06d', now[1], now[2]))
  end
  return stored[1]
end

-- args: owner, expected position or nothing, head, number of fields and values to set, these, then
-- the fields to remove. Returns 1: committed; 0: fenced; else the stored position or nothing.
local function commit(keys, args)
  local key = keys[1]
  local stored = redis.call('HMGET', key, HEAD, OWNER, VERSION)
  if stored[2] ~= args[1] then
    return 0
  end
  local position = stored[1] and string.sub(stored[1], 1, 8) or ''
  if position ~= args[2] then
    return position
  end
  local version = string.format('%.0f', tonumber(stored[3]) + 1)
  local last = 4 + tonumber(args[4])
  write('HSET', key, args, 5, last)
  write('HDEL', key, args, last + 1, #args)
  redis.call('HSET', key, HEAD, args[3], VERSION, version)
  return 1
end

-- args: cursor, about how many. Returns head, what this page can be told from others by, the next
-- cursor, and states as keys and values in turn.
local function scan(keys, args)
  local stored = redis.call('HMGET', keys[1], HEAD, VERSION)
  -- A cursor means something only to the process that gave it.
  local process = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local page = redis.call('HSCAN', keys[1], args[1], 'COUNT', args[2])
  local found, states = page[2], {}
  for at = 1, #found, 2 do
    local field = found[at]
    local first, second = string.byte(field, 1, 2)
    if first and first < 254 then
      states[#states + 1] = field
      states[#states + 1] = found[at + 1]
    elseif first == 255 and second == 115 then
      states[#states + 1] = string.sub(field, 3)
      states[#states + 1] = found[at + 1]
    end
  end
  return {stored[1], process .. ':' .. (stored[2] or ''), page[1], states}
end

redis.register_function('twofold_claim_DIGEST', claim)
redis.register_function('twofold_commit_DIGEST', commit)
redis.register_function{
  function_name = 'twofold_scan_DIGEST', callback = scan, flags = {'no-writes'}
}
