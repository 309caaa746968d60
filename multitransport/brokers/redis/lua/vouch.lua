-- A node knows the last entries of this room: nothing was lost when Redis began anew.
-- KEYS meta. ARGV: replication id, epoch.
if redis.call('HGET', META, 'e') == ARGV[2] then
    redis.call('HSET', META, 'r', REDIS)
end
