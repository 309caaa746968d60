-- Hold frames no more. KEYS record. ARGV: replication id, end of lease, node, '' where they are lost, '-' where nobody has begun them, seqs.
-- Returns which node speaks for the session.
local found, wrong = record(true)
if not found then
    return wrong
end
for n = 5, #ARGV do
    local field = 'f:' .. ARGV[n]
    if redis.call('HGET', KEYS[1], field) == ARGV[3] then
        redis.call('HSET', KEYS[1], field, ARGV[4])
    end
end
return found.node
