-- Marks an id as used, unless its key has too many. Returns 1 if the id was fresh, 0 if it is used, -1 for too many.
--
-- KEYS[1] is the id. KEYS[2] is a hash with the number of ids of its key: count, of which each field that is a number
-- holds those that end in that bucket of time; at is the bucket in which it was tidied up, last the latest one it has.
-- ARGV: how long the id lives, in ms; the bucket in which it ends; the bucket of now; the bound; how much
-- longer the hash lives than an id.
if redis.call('EXISTS', KEYS[1]) == 1 then
	return 0
end
local known = redis.call('HMGET', KEYS[2], 'count', 'at', 'last')
local count = tonumber(known[1] or 0)
if tonumber(known[2] or -1) < tonumber(ARGV[3]) then -- the clocks of two processes differ: none goes back
	for _, bucket in ipairs(redis.call('HKEYS', KEYS[2])) do
		if tonumber(bucket) and tonumber(bucket) < tonumber(ARGV[3]) then
			count = count - tonumber(redis.call('HGET', KEYS[2], bucket))
			redis.call('HDEL', KEYS[2], bucket)
		end
	end
	redis.call('HMSET', KEYS[2], 'count', count, 'at', ARGV[3])
end
if count >= tonumber(ARGV[4]) then
	return -1
end
if not redis.call('SET', KEYS[1], 1, 'PX', ARGV[1], 'NX') then
	return 0
end
redis.call('HINCRBY', KEYS[2], 'count', 1)
redis.call('HINCRBY', KEYS[2], ARGV[2], 1)
-- The hash outlives every id that it counts, unless a process's clock was ahead by more than that. The first in its last bucket sets the time for the others.
if tonumber(ARGV[2]) > tonumber(known[3] or -1) then
	redis.call('HSET', KEYS[2], 'last', ARGV[2])
	redis.call('PEXPIRE', KEYS[2], ARGV[1] + ARGV[5])
end
return 1
