-- Claim the seqs of one message. KEYS record. ARGV: replication id, end of lease, node, attach, highest seq, acknowledged seq, those that
-- nothing has to wait for. A repeat does no harm.
local found, wrong = record(false)
if not found then
    return wrong
end
if found.attach ~= ARGV[4] or found.ended then
    return redis.error_reply('STALE a higher attach is known')
end
local highest = tonumber(ARGV[5])
for seq = found.claimed + 1, highest do
    redis.call('HSET', KEYS[1], 'c', text(seq), 'f:' .. text(seq), ARGV[3])
end
if highest > found.claimed and (found.beside or #ARGV > 6) then
    local beside = {}
    for seq in string.gmatch(found.beside or '', '%d+') do
        if tonumber(seq) > found.processed then
            beside[#beside + 1] = seq
        end
    end
    for n = 7, #ARGV do
        beside[#beside + 1] = ARGV[n]
    end
    forget('s', table.concat(beside, ','))
end
acknowledge(found, tonumber(ARGV[6]))
return 1
