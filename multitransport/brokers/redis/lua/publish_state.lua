-- Put publications in the place of those with their keys in a state room, and announce them.
-- KEYS meta, state, deletions, then a key per id of the application. ARGV: replication id, new epoch, announcing command, channel, room
-- as JSON, publisher, serial, most keys, most bytes, milliseconds deletions are remembered, milliseconds all is kept;
-- then for each publication: id of the entry, number of its id's key or 0, its key, 1 where it deletes, body.
-- Returns the epoch and for each its offset, or what there is too much of, joined by commas.
local STATE, DELETIONS = KEYS[2], KEYS[3]
local command, channel, room, publisher = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local most, most_bytes, most_ms = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local found = redis.call('HMGET', META, 'e', 'o', 's', 'b', 'p:' .. publisher, 'r')
local epoch, top, size, base = found[1], tonumber(found[2]), tonumber(found[3] or 0), tonumber(found[4] or 0)
if not epoch or (size > 0 and redis.call('EXISTS', STATE) == 0) then
    redis.call('DEL', META, STATE, DELETIONS)
    redis.call('HSET', META, 'r', REDIS)
    epoch, top, size, base = ARGV[2], 0, 0, 0
end
local doubtful = epoch == found[1] and found[6] ~= REDIS
local outcomes = repeated(found[5], ARGV[7])
if type(outcomes) == 'table' then
    return outcomes
elseif outcomes then
    return {epoch, outcomes}
end
if doubtful then
    return redis.error_reply('DOUBTFUL Redis began anew, and nobody has vouched for the log yet')
end

local function forget(key, offset)
    size = size - redis.call('HSTRLEN', STATE, key)
    redis.call('HDEL', STATE, key)
    redis.call('ZREM', DELETIONS, key)
    base = offset
end

-- The deletion made first, but not this key's.
local function oldest_deletion(but)
    local first = redis.call('ZRANGE', DELETIONS, 0, 1, 'WITHSCORES')
    if first[1] == but then
        return first[3], tonumber(first[4])
    end
    return first[1], tonumber(first[2])
end

-- Forget deletions that are too old.
while true do
    local key, offset = oldest_deletion(nil)
    local at = key and tonumber(string.match(redis.call('HGET', STATE, key) or '', '^%d+ %S+ (%d+)\n') or 0)
    if not key or NOW - at <= most_ms then
        break
    end
    forget(key, offset)
end

-- Nil where it fits, once deletions are forgotten early if need be, else what there is too much of.
local function too_much(key, grown, is_new)
    while true do
        local fits = not is_new or redis.call('HLEN', STATE) < most
        if fits and size + grown <= most_bytes then
            return nil
        end
        local forgotten, offset = oldest_deletion(key)
        if not forgotten then
            return fits and 'bytes' or 'keys'
        end
        forget(forgotten, offset)
    end
end

local results, id = {}, nil
for n = 12, #ARGV, 5 do
    local once, key, deletes, body = tonumber(ARGV[n + 1]), ARGV[n + 2], ARGV[n + 3] == '1', ARGV[n + 4]
    local result = once > 0 and known(KEYS[once], epoch)
    if not result then
        local offset = text(top + 1)
        local value = offset .. ' ' .. ARGV[n] .. ' ' .. text(NOW) .. '\n' .. body
        local former = redis.call('HSTRLEN', STATE, key)
        result = not deletes and too_much(key, #value - former, former == 0)
        if not result then
            id, top, result, size = ARGV[n], top + 1, offset, size + #value - former
            redis.call('HSET', STATE, key, value)
            if deletes then
                redis.call('ZADD', DELETIONS, offset, key)
            else
                redis.call('ZREM', DELETIONS, key)
            end
            if once > 0 then
                redis.call('SET', KEYS[once], epoch .. ' ' .. offset, 'PX', ARGV[10])
            end
            announce(command, channel, room, epoch, offset, id, text(base), body)
        end
    end
    results[#results + 1] = result
end

outcomes = table.concat(results, ',')
redis.call('HSET', META, 'e', epoch, 'o', text(top), 's', text(size), 'b', text(base),
    'p:' .. publisher, ARGV[7] .. ' ' .. text(NOW) .. ' ' .. outcomes, id and 'i' or 'e', id or epoch)
for n = 1, 3 do
    redis.call('PEXPIRE', KEYS[n], ARGV[11])
end
forget_publishers(top)
return {epoch, outcomes}
