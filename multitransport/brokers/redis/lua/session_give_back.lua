-- Leave frames to others that this node holds and has not begun. KEYS record. ARGV: replication id, end of lease, node, seqs.
-- Returns which node speaks for the session.
local found, wrong = record(true)
if not found then
    return wrong
end
for n = 4, #ARGV do
    local field = 'f:' .. ARGV[n]
    if redis.call('HGET', KEYS[1], field) == ARGV[3] then
        redis.call('HSET', KEYS[1], field, '-')
    end
end
return found.node
