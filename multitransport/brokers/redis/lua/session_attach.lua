-- Raise a session's attach and speak for it. KEYS record. ARGV: replication id, end of lease, node, attach, nonce, milliseconds it is
-- kept, hash of credentials, identity or '' where it stays, 1 where nobody is waited for who could vouch for it, 1 where this node does
-- not know the record. Returns the former node or '', and the record where this node does not know it.
local wrong = lapsed()
if wrong then
    return wrong
end
local found = redis.call('HMGET', KEYS[1], 'n', 'g', 'a', 'z', 'w')
local node, last = found[1], found[5] or ''
if not node then
    return redis.error_reply('GONE ' .. REDIS)
end
local former = node
if node == ARGV[3] then
    -- Where it is not known here, or this very attach has been, the answer to the attach that brought it was lost.
    local again = string.match(last, '^%S*') == ARGV[5]
    former = (again or ARGV[10] == '1') and string.match(last, ' (.*)$') or ''
end
if string.match(last, '^%S*') ~= ARGV[5] then
    if found[4] or tonumber(found[3]) >= tonumber(ARGV[4]) then
        return redis.error_reply('STALE a higher attach is known')
    end
    if found[2] ~= REDIS and ARGV[9] ~= '1' then
        return redis.error_reply('DOUBTFUL Redis began anew, and its node has not vouched for the record yet')
    end
    if node ~= ARGV[3] then
        redis.call('HINCRBY', KEYS[1], 't', 1)
    end
    redis.call('HDEL', KEYS[1], 'x')
    redis.call('HSET', KEYS[1], 'n', ARGV[3], 'g', REDIS, 'a', ARGV[4], 'h', ARGV[7], 'w', ARGV[5] .. ' ' .. former)
    if ARGV[8] ~= '' then
        redis.call('HSET', KEYS[1], 'i', ARGV[8])
    end
end
keep(ARGV[6])
local known = ARGV[10] ~= '1' and former == ''
return {former, known and {} or redis.call('HGETALL', KEYS[1])}
