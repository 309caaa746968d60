-- Put a record back that Redis lost, or of which it lost the newest part. KEYS record. ARGV: replication id, end of lease, node, how often
-- the node that speaks for it has changed, milliseconds it is kept, when it expires or 0, fields and values.
-- Returns the replication id.
local wrong = lapsed()
if wrong then
    return wrong
end
local found = redis.call('HMGET', KEYS[1], 'n', 't', 'g')
local term = tonumber(ARGV[4])
if found[1] then
    local its = tonumber(found[2])
    if its > term or (its == term and found[1] ~= ARGV[3]) then
        return redis.error_reply('STALE another node speaks for it')
    elseif found[1] == ARGV[3] and found[3] == REDIS then
        return REDIS
    end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'n', ARGV[3], 'g', REDIS, 't', ARGV[4])
for n = 7, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
end
local expires
if ARGV[6] ~= '0' then
    expires = tonumber(ARGV[6])
    redis.call('HSET', KEYS[1], 'x', ARGV[6])
end
keep(ARGV[5], expires)
return REDIS
