-- Hold no frame any more of a session that another node speaks for. KEYS record. ARGV: replication id, end of lease, node,
-- the highest seq claimed while it was here.
-- Returns which node speaks for it, or '' where it is gone.
local found = redis.call('HMGET', KEYS[1], 'n', 'z', 'c', 'p')
if not found[1] then
    return ''
end
if found[1] ~= ARGV[3] then -- else it has come back meanwhile
    lose(math.min(found[3], ARGV[4]), found[4], function(node) return node == ARGV[3] end)
end
return not found[2] and found[1] or ''
