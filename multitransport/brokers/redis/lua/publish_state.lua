-- Put publications in the place of those with their keys in a state room, and announce them.
-- KEYS meta, state, deletions, then a key per id of the application. ARGV: replication id, new epoch, announcing command, channel, room
-- as JSON, publisher, serial, most keys, most bytes, milliseconds deletions are remembered, milliseconds all is kept,
-- when the lease of the publisher ends or 0; then for each publication: id of the entry, number of its id's key or 0, its key, 1 where it deletes, body.
-- Returns the epoch and for each its offset, or what there is too much of, joined by commas.
local STATE, DELETIONS = KEYS[2], KEYS[3]
local command, channel, room, publisher = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local most, most_bytes, most_ms = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local found = redis.call('HMGET', META, 'e', 'o', 's', 'b', 'p:' .. publisher, 'r', 'd')
local epoch, top, size, base = found[1], tonumber(found[2]), tonumber(found[3] or 0), tonumber(found[4] or 0)
local deleted = tonumber(found[7] or 0)
local outcomes = repeated(found[5], ARGV[7])
if type(outcomes) == 'table' then
    return outcomes
elseif outcomes then
    return {epoch, outcomes}
end
local refused = lapsed(ARGV[12])
if refused then
    return refused
end
if not epoch or (size > 0 and redis.call('EXISTS', STATE) == 0) then
    redis.call('HSET', META, 'r', REDIS) -- a full Redis refuses this, and not what comes once something is written
    redis.call('DEL', META, STATE, DELETIONS)
    redis.call('HSET', META, 'r', REDIS)
    epoch, top, size, base, deleted = ARGV[2], 0, 0, 0, 0
elseif found[6] ~= REDIS then
    return redis.error_reply('DOUBTFUL Redis began anew, and nobody has vouched for the log yet')
end

local function forget(key, offset)
    local bytes = redis.call('HSTRLEN', STATE, key)
    size, deleted = size - bytes, deleted - bytes
    redis.call('HDEL', STATE, key)
    redis.call('ZREM', DELETIONS, key)
    base = tonumber(offset)
end

local function oldest_deletion()
    local first = redis.call('ZRANGE', DELETIONS, 0, 0, 'WITHSCORES')
    return first[1], first[2]
end

-- Forget deletions that are too old.
while true do
    local key, offset = oldest_deletion()
    local at = key and tonumber(string.match(redis.call('HGET', STATE, key) or '', '^%d+ %S+ (%d+)\n') or 0)
    if not key or NOW - at <= most_ms then
        break
    end
    forget(key, offset)
end

-- What there is too much of where a value were added: all deletions can be forgotten for it.
local function too_much(bytes, former, was_deleted)
    local values, held = redis.call('HLEN', STATE) - redis.call('ZCARD', DELETIONS), size - deleted
    if former > 0 and not was_deleted then
        values, held = values - 1, held - former
    end
    return values >= most and 'keys' or held + bytes > most_bytes and 'bytes'
end

local function put(key, value, former, was_deleted, deletes, offset)
    size = size + #value - former
    if was_deleted then
        deleted = deleted - former
    end
    redis.call('HSET', STATE, key, value)
    if deletes then
        redis.call('ZADD', DELETIONS, offset, key)
        deleted = deleted + #value
    else
        redis.call('ZREM', DELETIONS, key)
    end
    while redis.call('HLEN', STATE) > most or size > most_bytes do
        forget(oldest_deletion())
    end
end

local results, id = {}, nil
for n = 13, #ARGV, 5 do
    local once, key, deletes, body = tonumber(ARGV[n + 1]), ARGV[n + 2], ARGV[n + 3] == '1', ARGV[n + 4]
    local result = once > 0 and known(KEYS[once], epoch)
    if not result then
        local offset = text(top + 1)
        local value = offset .. ' ' .. ARGV[n] .. ' ' .. text(NOW) .. '\n' .. body
        local former = redis.call('HSTRLEN', STATE, key)
        local was_deleted = former > 0 and redis.call('ZSCORE', DELETIONS, key)
        result = not deletes and too_much(#value, former, was_deleted)
        if not result then
            id, top, result = ARGV[n], top + 1, offset
            if former > 0 or not deletes then
                put(key, value, former, was_deleted, deletes, offset)
            end -- else nobody has such a key: who is not told misses nothing
            if once > 0 then
                redis.call('SET', KEYS[once], epoch .. ' ' .. offset, 'PX', ARGV[10])
            end
            announce(command, channel, room, epoch, offset, id, text(base), body)
        end
    end
    results[#results + 1] = result
end

outcomes = table.concat(results, ',')
redis.call('HSET', META, 'e', epoch, 'o', text(top), 's', text(size), 'b', text(base), 'd', text(deleted),
    'p:' .. publisher, ARGV[7] .. ' ' .. text(NOW) .. ' ' .. outcomes, id and 'i' or 'e', id or epoch)
for n = 1, 3 do
    redis.call('PEXPIRE', KEYS[n], ARGV[11])
end
forget_publishers(top)
return {epoch, outcomes}
