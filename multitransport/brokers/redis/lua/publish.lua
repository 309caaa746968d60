-- Append publications to a log room and announce them.
-- KEYS meta, log, then a key per id of the application. ARGV: replication id, new epoch, announcing command, channel, room as JSON,
-- publisher, serial, most publications, most bytes, most milliseconds, milliseconds the meta is kept, when the lease of the
-- publisher ends or 0; then for each publication: id of the entry, number of its id's key or 0, body.
-- Returns the epoch and the offsets, joined by commas.
local LOG = KEYS[2]
local command, channel, room, publisher = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local most, most_bytes, most_ms = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

local found = redis.call('HMGET', META, 'e', 'o', 's', 'a', 'p:' .. publisher, 'r')
local epoch, top, size, oldest = found[1], tonumber(found[2]), tonumber(found[3] or 0), tonumber(found[4] or NOW)
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
if not epoch then
    redis.call('HSET', META, 'r', REDIS) -- a full Redis refuses this, and not what comes once something is written
    redis.call('DEL', META, LOG)
    redis.call('HSET', META, 'r', REDIS)
    epoch, top = ARGV[2], 0
elseif found[6] ~= REDIS then
    return redis.error_reply('DOUBTFUL Redis began anew, and nobody has vouched for the log yet')
end

local offsets, id, added, added_bytes = {}, nil, 0, 0
for n = 13, #ARGV, 3 do
    local once, body = tonumber(ARGV[n + 1]), ARGV[n + 2]
    local offset = once > 0 and known(KEYS[once], epoch)
    if not offset then
        id, top = ARGV[n], top + 1
        offset = text(top)
        local done = redis.pcall('XADD', LOG, offset .. '-0', 'i', id, 't', text(NOW), 'd', body)
        if type(done) == 'table' and done.err then
            if not string.find(done.err, 'equal or smaller', 1, true) then
                return done
            end
            -- The log goes on beyond what the meta says: it is of another time.
            redis.call('DEL', LOG)
            epoch, added, added_bytes = ARGV[2], 0, 0
            redis.call('XADD', LOG, offset .. '-0', 'i', id, 't', text(NOW), 'd', body)
        end
        added, added_bytes = added + 1, added_bytes + #body
        if once > 0 then
            redis.call('SET', KEYS[once], epoch .. ' ' .. offset, 'PX', ARGV[10])
        end
        announce(command, channel, room, epoch, offset, id, 0, body)
    end
    offsets[#offsets + 1] = offset
end

-- Drop what is beyond the bounds, a sixteenth of them at a time: reading what goes is the costly part.
local length = redis.call('XLEN', LOG)
size = size + added_bytes
if length == added then
    oldest, size = NOW, added_bytes
end
if length > most + most / 16 or (size > most_bytes + most_bytes / 16 and length > 1) or NOW - oldest > most_ms + most_ms / 16 then
    local done = false
    while not done and length > 0 do
        local last
        for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+', 'COUNT', 16)) do
            local at = tonumber(entry[2][4])
            if length > most or (size > most_bytes and length > 1) or NOW - at > most_ms then
                last, length, size = entry[1], length - 1, size - #entry[2][6]
            else
                oldest, done = at, true
                break
            end
        end
        if last then
            redis.call('XTRIM', LOG, 'MINID', text(tonumber(string.match(last, '^%d+')) + 1))
        end
    end
    if length == 0 then
        oldest, size = NOW, 0
    end
end

outcomes = table.concat(offsets, ',')
redis.call('HSET', META, 'e', epoch, 'o', text(top), 's', text(size), 'a', text(oldest),
    'p:' .. publisher, ARGV[7] .. ' ' .. text(NOW) .. ' ' .. outcomes, id and 'i' or 'e', id or epoch)
if id then
    redis.call('PEXPIRE', LOG, ARGV[10])
end
redis.call('PEXPIRE', META, ARGV[11])
forget_publishers(top)
return {epoch, outcomes}
