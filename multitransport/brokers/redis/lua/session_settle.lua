-- Read a record after others were at work on it, as any node may. KEYS record. ARGV: replication id, end of lease, node, nodes that are
-- gone: what those hold is lost.
local wrong = lapsed()
if wrong then
    return wrong
end
local found = redis.call('HMGET', KEYS[1], 'n', 'g', 'c', 'p')
if not found[1] then
    return redis.error_reply('GONE ' .. REDIS)
end
if found[2] ~= REDIS then
    return redis.error_reply('DOUBTFUL Redis began anew, and its node has not vouched for the record yet')
end
local gone = {}
for n = 4, #ARGV do
    gone[ARGV[n]] = true
end
if #ARGV > 3 then
    lose(found[3], found[4], function(node) return gone[node] end)
end
return redis.call('HGETALL', KEYS[1])
