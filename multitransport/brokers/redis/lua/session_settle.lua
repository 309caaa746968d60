-- Read a record after others were busy with it. KEYS record. ARGV: replication id, end of lease, node, nodes that live.
local found, wrong = record(false)
if not found then
    return wrong
end
local living = {}
for n = 4, #ARGV do
    living['b:' .. ARGV[n]] = true
end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(field, 1, 2) == 'b:' and not living[field] then
        redis.call('HDEL', KEYS[1], field)
    end
end
return redis.call('HGETALL', KEYS[1])
