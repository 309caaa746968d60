-- Note what a node's application declares of rooms; what no node has said for a minute is forgotten.
-- KEYS declared, a hash: digest of the declarations -> "<since> <last said>\n<the declarations as JSON>".
-- ARGV: replication id, digest, the declarations, milliseconds all is kept.
local DECLARED = KEYS[1]
local since = string.match(redis.call('HGET', DECLARED, ARGV[2]) or '', '^(%d+) %d+\n') or text(NOW)
redis.call('HSET', DECLARED, ARGV[2], since .. ' ' .. text(NOW) .. '\n' .. ARGV[3])
local fields = redis.call('HGETALL', DECLARED)
for n = 1, #fields, 2 do
    local said = string.match(fields[n + 1], '^%d+ (%d+)\n')
    if not said or NOW - tonumber(said) > 60000 then
        redis.call('HDEL', DECLARED, fields[n])
    end
end
redis.call('PEXPIRE', DECLARED, ARGV[4])
