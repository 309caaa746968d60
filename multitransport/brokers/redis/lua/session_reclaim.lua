-- Hold a frame that is lost or was given back. KEYS record. ARGV: replication id, end of lease, node, seq. Returns 0 where another node holds it by now, or
-- it is done.
local found, wrong = record(false)
if not found then
    return wrong
end
local field = 'f:' .. ARGV[4]
local holder = redis.call('HGET', KEYS[1], field)
local is_free = holder == '' or holder == '-'
if is_free then
    redis.call('HSET', KEYS[1], field, ARGV[3])
end
return (is_free or holder == ARGV[3]) and 1 or 0
