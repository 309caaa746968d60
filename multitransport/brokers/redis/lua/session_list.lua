-- Say that these sessions are a user's or a node's, and forget those of which that was last said too long ago.
-- KEYS the list. ARGV: replication id, milliseconds, sessions.
for n = 3, #ARGV do
    redis.call('ZADD', KEYS[1], text(NOW), ARGV[n])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(NOW - tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
