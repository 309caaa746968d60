-- Which session a client's 'new' became. KEYS the name. ARGV: replication id, session to be named or '' for none, session in whose place or
-- '', milliseconds. Returns the one that is named.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[3] then
    return found
end
if ARGV[2] == '' then
    redis.call('DEL', KEYS[1])
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
end
return ARGV[2]
