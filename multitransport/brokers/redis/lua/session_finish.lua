-- Be busy no more with a session. KEYS record. ARGV: replication id, end of lease, node.
-- Returns which node speaks for it, or '' where it is gone.
redis.call('HDEL', KEYS[1], 'b:' .. ARGV[3])
local found = redis.call('HMGET', KEYS[1], 'n', 'z')
return found[1] and not found[2] and found[1] or ''
