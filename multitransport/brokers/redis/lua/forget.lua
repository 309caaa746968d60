-- Drop a room. KEYS all of its keys. ARGV: replication id, announcing command, channel, announcement.
redis.call('DEL', unpack(KEYS))
redis.call(ARGV[2], ARGV[3], ARGV[4])
