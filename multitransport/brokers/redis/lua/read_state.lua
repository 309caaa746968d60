-- Read a state room, and give it an epoch where it has none.
-- KEYS meta, state, deletions. ARGV: replication id, new epoch, milliseconds all is kept, known epoch or '', known last
-- offset or ''; nothing is read where that is the last one; and the newest offset the node knows in that epoch, with its id or ''.
-- Returns epoch, last offset, id of the last entry, the time, 1 where the room is known to be whole, up to which offset
-- deletions are forgotten, and the values.
local STATE = KEYS[2]
local found = redis.call('HMGET', META, 'e', 'o', 'i', 'r', 's', 'b')
local epoch, top, id, whole, base = found[1], found[2], found[3] or '', found[4], found[6] or '0'
if not epoch or (tonumber(found[5] or 0) > 0 and redis.call('EXISTS', STATE) == 0) then
    redis.call('DEL', META, STATE, KEYS[3])
    epoch, top, id, whole, base = ARGV[2], '0', '', REDIS, '0'
    redis.call('HSET', META, 'e', epoch, 'o', '0', 'r', REDIS)
end
for n = 1, 3 do
    redis.call('PEXPIRE', KEYS[n], ARGV[3])
end
local values = {}
if ARGV[4] ~= epoch or ARGV[5] ~= top then
    values = redis.call('HVALS', STATE)
end
local known = ARGV[4] == epoch and ARGV[7] or ''
return {epoch, top, id, text(NOW), is_whole(whole, top, id, ARGV[6], known), tonumber(base), values}
