-- What every script of sessions and leases begins with. ARGV[1] is the replication id of this Redis. Those of a record have it as
-- KEYS[1], and as ARGV[2] and ARGV[3] when the node's lease ends and the node. A record is a hash:
--   i its identity, sealed · n the node that speaks for it · t how often that changed · g the replication id under which it is whole
--   a attach · w "<nonce> <former node>" of the last attach · h hash of credentials
--   x when it expires, where it is not attached · z "<node> <nonce>" of who has claimed its end
--   c, p, k highest seq claimed, processed, acknowledged · e those done above p · u those whose outcome was not kept · o:<seq> outcomes
--   f:<seq> the node that holds a frame which is claimed and not done, '' where that is lost, '-' where nobody has begun it
--   s those of them that nothing has to wait for
--   r:<room> where it was joined · d:<key> data · m:<room> metas
local REDIS = ARGV[1]
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function text(number)
    return string.format('%.0f', number)
end

local function lapsed()
    return NOW > tonumber(ARGV[2]) and redis.error_reply('LAPSED the lease of this node is over')
end

-- Have those frames be lost that nodes hold of which is_gone says so.
local function lose(claimed, processed, is_gone)
    for seq = tonumber(processed) + 1, tonumber(claimed) do
        local field = 'f:' .. text(seq)
        local holder = redis.call('HGET', KEYS[1], field)
        if holder and is_gone(holder) then
            redis.call('HSET', KEYS[1], field, '')
        end
    end
end

local function holds_any(node, claimed, processed)
    for seq = tonumber(processed) + 1, tonumber(claimed) do
        if redis.call('HGET', KEYS[1], 'f:' .. text(seq)) == node then
            return true
        end
    end
    return false
end

-- What a script has to know of the record; or nil and why this node may not change it. Where another node speaks for it that is STALE with
-- how often that has changed: a node that knows of a later change has to put the record back.
local function record(holders_too)
    local wrong = lapsed()
    if wrong then
        return nil, wrong
    end
    local found = redis.call('HMGET', KEYS[1], 'n', 'g', 'a', 'z', 'c', 'p', 'k', 'e', 'u', 'x', 't', 's')
    local node = found[1]
    if not node then
        return nil, redis.error_reply('GONE ' .. REDIS)
    end
    -- This comes first: which node speaks for it is in doubt, too.
    if found[2] ~= REDIS then
        return nil, redis.error_reply('DOUBTFUL Redis began anew, and its node has not vouched for the record yet')
    end
    if node ~= ARGV[3] and not (holders_too and holds_any(ARGV[3], found[5], found[6])) then
        return nil, redis.error_reply('STALE ' .. found[11])
    end
    return {
        node = node, attach = found[3], ended = found[4], claimed = tonumber(found[5]), processed = tonumber(found[6]),
        acked = tonumber(found[7]), early = found[8], unkept = found[9], expires = tonumber(found[10]), beside = found[12],
    }
end

local function forget(field, value)
    if value == '' then
        redis.call('HDEL', KEYS[1], field)
    else
        redis.call('HSET', KEYS[1], field, value)
    end
end

-- Forget the outcomes the client has, up to what is processed.
local function acknowledge(found, through)
    through = math.min(through, found.processed)
    if through <= found.acked then
        return
    end
    for seq = found.acked + 1, through do
        redis.call('HDEL', KEYS[1], 'o:' .. text(seq))
    end
    redis.call('HSET', KEYS[1], 'k', text(through))
    if found.unkept then
        local left = {}
        for seq in string.gmatch(found.unkept, '%d+') do
            if tonumber(seq) > through then
                left[#left + 1] = seq
            end
        end
        forget('u', table.concat(left, ','))
    end
end

-- How long the record is kept from now on.
local function keep(milliseconds, expires)
    redis.call('PEXPIRE', KEYS[1], text(tonumber(milliseconds) + math.max(0, (expires or NOW) - NOW)))
end
