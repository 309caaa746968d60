-- Read a log room, and give it an epoch where it has none.
-- KEYS meta, log. ARGV: replication id, new epoch, milliseconds the meta is kept, known epoch or '', offset from which on
-- to read or '' (in another epoch all is read), how many of the newest to read otherwise, and the newest
-- offset the node knows in the known epoch, with its id or ''.
-- Returns epoch, last offset, id of the last entry, the time, 1 where the log is known to be whole, 0, and the entries.
local LOG = KEYS[2]
local found = redis.call('HMGET', META, 'e', 'o', 'i', 'r')
local epoch, top, whole = found[1], tonumber(found[2]), found[4]
if not epoch then
    redis.call('DEL', META, LOG)
    epoch, top, whole = ARGV[2], 0, REDIS
    redis.call('HSET', META, 'e', epoch, 'o', '0', 'r', REDIS)
end
redis.call('PEXPIRE', META, ARGV[3])

local entries = {}
if ARGV[4] ~= '' and ARGV[4] ~= epoch then
    entries = redis.call('XRANGE', LOG, '-', '+')
elseif ARGV[5] ~= '' then
    if tonumber(ARGV[5]) <= top then
        entries = redis.call('XRANGE', LOG, ARGV[5], '+')
    end
elseif ARGV[6] ~= '0' then
    local newest = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', ARGV[6])
    for n = #newest, 1, -1 do
        entries[#entries + 1] = newest[n]
    end
end
local id = ARGV[4] == epoch and ARGV[8] or ''
return {epoch, text(top), found[3] or '', text(NOW), is_whole(whole, top, found[3], ARGV[7], id), 0, entries}
