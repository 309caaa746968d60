-- Claim a session's end. KEYS record, last word. ARGV: replication id, end of lease, node, nonce, milliseconds it is kept, what its client
-- has to hear or '', for how many milliseconds. Returns 1 where it is claimed, or was claimed by this very call.
local found, wrong = record(false)
if not found then
    return wrong
end
local mark = ARGV[3] .. ' ' .. ARGV[4]
if found.ended and string.match(found.ended, '^%S*') == ARGV[3] then
    return found.ended == mark and 1 or 0
end
redis.call('HSET', KEYS[1], 'z', mark)
if ARGV[6] ~= '' then
    redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[7])
end
keep(ARGV[5])
return 1
