-- Return what applications declare of rooms. KEYS declared. ARGV: replication id.
return redis.call('HVALS', KEYS[1])
