-- Give up a lease. KEYS nodes, dead, registry. ARGV: replication id, node, milliseconds all is kept.
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], text(NOW), ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
