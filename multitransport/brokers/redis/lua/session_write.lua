-- Write what has changed of a record. KEYS record. ARGV: replication id, end of lease, node, milliseconds it is kept, acknowledged seq,
-- processed seq or 0, whether its outcome is kept (1), too large (0) or none (''), outcome, attach to be detached or '', after how many
-- milliseconds it expires then, number of fields that go, those, fields and values.
-- Returns which node speaks for it, when it expires or 0, 0 where the seq had been processed with another outcome or is another node's, else
-- 1: a repeat of this very write finds its own; and the other node that holds the first frame which is not done, or ''.
local found, wrong = record(true)
if not found then
    return wrong
end

local seq, noted = tonumber(ARGV[6]), 1
local early = {}
for each in string.gmatch(found.early or '', '%d+') do
    early[tonumber(each)] = true
end
local is_new = seq > found.processed and not early[seq]
if is_new and redis.call('HGET', KEYS[1], 'f:' .. ARGV[6]) == ARGV[3] then
    redis.call('HDEL', KEYS[1], 'f:' .. ARGV[6])
    if ARGV[7] == '1' and seq > found.acked then
        redis.call('HSET', KEYS[1], 'o:' .. ARGV[6], ARGV[8])
    elseif ARGV[7] == '0' and seq > found.acked then
        found.unkept = (found.unkept and found.unkept .. ',' or '') .. ARGV[6]
        redis.call('HSET', KEYS[1], 'u', found.unkept)
    end
    early[seq] = true
    while early[found.processed + 1] do
        found.processed = found.processed + 1
        early[found.processed] = nil
    end
    local left = {}
    for each in pairs(early) do
        left[#left + 1] = text(each)
    end
    redis.call('HSET', KEYS[1], 'p', text(found.processed))
    forget('e', table.concat(left, ','))
elseif is_new or (seq > 0 and redis.call('HGET', KEYS[1], 'o:' .. ARGV[6]) ~= (ARGV[7] == '1' and ARGV[8])) then
    noted = 0
end
acknowledge(found, tonumber(ARGV[5]))

local gone = tonumber(ARGV[11])
for n = 12, 11 + gone do
    redis.call('HDEL', KEYS[1], ARGV[n])
end
for n = 12 + gone, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
end

if found.attach == ARGV[9] and found.node == ARGV[3] and not found.ended then
    found.expires = NOW + tonumber(ARGV[10])
    redis.call('HSET', KEYS[1], 'x', text(found.expires))
end
keep(ARGV[4], found.expires)
local follows = ''
if seq > 0 and found.claimed > found.processed then
    local beside = {}
    for each in string.gmatch(found.beside or '', '%d+') do
        beside[tonumber(each)] = true
    end
    local first = found.processed + 1
    while beside[first] or early[first] do
        first = first + 1
    end
    local holder = redis.call('HGET', KEYS[1], 'f:' .. text(first))
    if holder and holder ~= ARGV[3] and holder ~= '-' then
        follows = holder
    end
end
return {found.node, text(found.expires or 0), noted, follows}
