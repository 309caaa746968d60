-- Forget a session whose end this node has claimed. KEYS record. ARGV: replication id, end of lease, node.
local found, wrong = record(false)
if not found then
    return wrong
end
if found.ended and string.match(found.ended, '^%S*') == ARGV[3] then
    redis.call('DEL', KEYS[1])
end
return 1
