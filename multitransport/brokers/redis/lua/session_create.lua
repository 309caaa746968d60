-- Keep a new session's record. KEYS record. ARGV: replication id, end of lease, node, milliseconds until it expires, milliseconds it is
-- kept beyond, fields and values. Returns the replication id and when it expires. A repeat does no harm.
local wrong = lapsed()
if wrong then
    return wrong
end
local expires = NOW + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'n', ARGV[3], 'g', REDIS, 't', '1', 'x', text(expires))
for n = 6, #ARGV, 2 do -- unpack has a bound
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
end
keep(ARGV[5], expires)
return {REDIS, text(expires)}
