-- Hold a frame that is lost or was given back. KEYS record. ARGV: replication id, end of lease, node, seq.
-- Returns 2 where it was given back, 1 where it was lost, or nobody knows, 0 where another node holds it by now, or it is done.
local found, wrong = record(false)
if not found then
    return wrong
end
local holder = redis.call('HGET', KEYS[1], 'f:' .. ARGV[4])
if holder == '' or holder == '-' then
    redis.call('HSET', KEYS[1], 'f:' .. ARGV[4], ARGV[3])
    return holder == '-' and 2 or 1
end
return holder == ARGV[3] and 1 or 0
