-- Speak for a session whose node is gone, or does not answer. KEYS record. ARGV: replication id, end of lease, node, former node, after
-- how many milliseconds it expires where it was attached, milliseconds it is kept, 1 where the former node may still do what it holds,
-- 1 where nobody is waited for who could vouch for it.
-- Returns the record. One whose end was claimed expires now: it has to be ended again, also where this very node had claimed that.
local wrong = lapsed()
if wrong then
    return wrong
end
local found = redis.call('HMGET', KEYS[1], 'n', 'z', 'x', 'c', 'p', 'g')
if not found[1] then
    return redis.error_reply('GONE ' .. REDIS)
end
if found[6] ~= REDIS and ARGV[8] ~= '1' then
    return redis.error_reply('DOUBTFUL Redis began anew, and its node has not vouched for the record yet')
end
local expires = tonumber(found[3]) or NOW + tonumber(ARGV[5])
if found[1] == ARGV[4] then
    if found[2] then
        expires = NOW
        redis.call('HSET', KEYS[1], 'z', 'gone')
    end
    redis.call('HINCRBY', KEYS[1], 't', 1)
    redis.call('HSET', KEYS[1], 'n', ARGV[3], 'g', REDIS, 'x', text(expires))
    if ARGV[7] ~= '1' then
        lose(found[4], found[5], function(node) return node == ARGV[4] end)
    end
elseif found[1] ~= ARGV[3] then
    return redis.error_reply('STALE another node speaks for it')
end
keep(ARGV[6], expires)
return redis.call('HGETALL', KEYS[1])
