-- Claim the seqs of one message. KEYS record. ARGV: replication id, end of lease, node, attach, highest seq, acknowledged seq.
local found, wrong = record(false)
if not found then
    return wrong
end
if found.attach ~= ARGV[4] or found.ended then
    return redis.error_reply('STALE a higher attach is known')
end
if found.claimed < tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], 'c', ARGV[5])
end
acknowledge(found, tonumber(ARGV[6]))
return 1
