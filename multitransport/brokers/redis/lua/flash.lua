-- Announce what no log keeps.
-- KEYS meta. ARGV: replication id, when the lease of the publisher ends or 0, announcing command, channel, announcement.
return lapsed(ARGV[2]) or redis.call(ARGV[3], ARGV[4], ARGV[5])
