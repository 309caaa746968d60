-- What every script of a room begins with. ARGV[1] is the replication id of this Redis, KEYS[1] the room's meta hash:
--   e epoch · o last offset · i id of the last entry · s bytes held · a time of the oldest entry (log rooms)
--   b deletions up to this offset are forgotten, d bytes of those that are not (state rooms)
--   r the replication id under which the log is known to be whole
--   p:<publisher> "<serial> <time> <outcome>,<outcome>…" of its last message
local META, REDIS = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function text(number)
    return string.format('%.0f', number)
end

-- What this publisher's last message came to, if this is its repeat; an error if newer ones were taken.
local function repeated(last, serial)
    if not last then
        return nil
    end
    local taken, outcomes = string.match(last, '^(%d+) %d+ (.*)$')
    if tonumber(taken) == tonumber(serial) then
        return outcomes
    end
    if tonumber(taken) > tonumber(serial) then
        return redis.error_reply('STALE a later message of this publisher was taken')
    end
end

-- An error where the lease of the node that publishes is over (0: it has none): others may act for it already.
local function lapsed(deadline)
    if tonumber(deadline) ~= 0 and NOW > tonumber(deadline) then
        return redis.error_reply('LAPSED the lease of this node is over')
    end
end

-- The offset the application's id was given in this epoch.
local function known(key, epoch)
    local found = redis.call('GET', key)
    if found then
        local its_epoch, offset = string.match(found, '^(%S+) (%d+)$')
        if its_epoch == epoch then
            return offset
        end
    end
end

-- Whether the log is known to be whole; a node that knows its last entry, the one at 'offset' with 'id', vouches for it.
local function is_whole(vouched, top, last, offset, id)
    if vouched ~= REDIS and id ~= '' and id == last and tonumber(offset) == tonumber(top) then
        redis.call('HSET', META, 'r', REDIS)
        return 1
    end
    return vouched == REDIS and 1 or 0
end

local function announce(command, channel, room, epoch, offset, id, base, body)
    redis.call(command, channel,
        '1["pub",' .. room .. ',"' .. epoch .. '",' .. offset .. ',"' .. id .. '",' .. base .. ']\n' .. body)
end

-- Forget publishers that have not been heard of for ten minutes, every now and then.
local function forget_publishers(top)
    if top % 256 ~= 0 or redis.call('HLEN', META) < 64 then
        return
    end
    local fields = redis.call('HGETALL', META)
    for n = 1, #fields, 2 do
        if string.sub(fields[n], 1, 2) == 'p:' then
            local at = string.match(fields[n + 1], '^%d+ (%d+) ')
            if not at or NOW - tonumber(at) > 600000 then
                redis.call('HDEL', META, fields[n])
            end
        end
    end
end
