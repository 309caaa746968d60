-- Take or renew a lease, and end those that were over long ago. KEYS nodes, dead, registry. ARGV: replication id, node, the registry's id as
-- this node knows it or '', another one, milliseconds of a lease, milliseconds all is kept, 1 where this node may end others.
-- Returns when the lease ends, or 0 where it has been ended; the registry's id; the time; and dead nodes.
local NODES, DEAD, REGISTRY = KEYS[1], KEYS[2], KEYS[3]
local lease = tonumber(ARGV[5])
local id = redis.call('GET', REGISTRY) or ARGV[4]
redis.call('SET', REGISTRY, id, 'PX', ARGV[6])
local own = tonumber(redis.call('ZSCORE', NODES, ARGV[2]) or nil)
if not own and id == ARGV[3] or redis.call('ZSCORE', DEAD, ARGV[2]) then
    return {'0', id, text(NOW)}
end
-- A node that is late itself ends nobody's: perhaps it was Redis that was away, and the others come any moment.
if own and own >= NOW and ARGV[7] == '1' then
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', NODES, '-inf', text(NOW - lease / 3), 'LIMIT', 0, 100)) do
        redis.call('ZREM', NODES, node)
        redis.call('ZADD', DEAD, text(NOW), node)
    end
end
redis.call('ZADD', NODES, text(NOW + lease), ARGV[2])
redis.call('PEXPIRE', NODES, ARGV[6])
redis.call('PEXPIRE', DEAD, ARGV[6])
return {text(NOW + lease), id, text(NOW), unpack(redis.call('ZRANGE', DEAD, 0, 99))}
