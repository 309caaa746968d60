-- Hold frames that are lost or were given back, as the node that speaks for the session or one that holds others of it. KEYS record. ARGV: replication id, end of lease, node, seqs.
-- Returns for each 2 where it was given back, 1 where it was lost, or nobody knows, 0 where another node holds it by now, or it is done.
local found, wrong = record(true)
if not found then
    return wrong
end
local became = {}
for n = 4, #ARGV do
    local field = 'f:' .. ARGV[n]
    local holder = redis.call('HGET', KEYS[1], field)
    if holder == '' or holder == '-' then
        redis.call('HSET', KEYS[1], field, ARGV[3])
        became[#became + 1] = holder == '-' and 2 or 1
    else
        became[#became + 1] = holder == ARGV[3] and 1 or 0
    end
end
return became
