-- Give a room another epoch: its offsets could mean two things. Who comes second changes nothing.
-- KEYS meta. ARGV: replication id, the epoch that is no more, new epoch, announcing command, channel, announcement.
if redis.call('HGET', META, 'e') == ARGV[2] then
    redis.call('HSET', META, 'e', ARGV[3], 'r', REDIS)
    redis.call(ARGV[4], ARGV[5], ARGV[6])
end
