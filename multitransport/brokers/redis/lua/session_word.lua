-- What the client of a session that is gone has to hear: what is not final once. KEYS last word.
local word = redis.call('GET', KEYS[1])
if word and string.sub(word, 1, 1) == 'o' then
    redis.call('DEL', KEYS[1])
end
return word or ''
