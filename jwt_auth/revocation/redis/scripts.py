"""The atomic steps on a user's hash, in Lua. ``ARGV[1]`` is always the run of the server.

A key gets its TTL when it is created, and no script extends it. All data in a hash was read from
the database after that moment. So the TTL limits how long any other kind of error can last.
"""

from __future__ import annotations

from typing import Final

#: Take the lease; a hash of another server is deleted first. ARGV: run, lease, ttl in ms.
LEASE: Final = """
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""

#: Complete the hash. ARGV: run, the run that gave the lease, lease, token version, active, then
#: fields and values.
#: Fields are only added, so that a mark or a denial stays. They are added one by one, because Lua
#: can't unpack thousands of them in one call.
COMPLETE: Final = """
if ARGV[1] ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[3] then return 0 end
for i = 6, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'v', ARGV[4], 'a', ARGV[5])
redis.call('HDEL', KEYS[1], 'lease')
return 1
"""

#: Mark what is about to be revoked. ARGV: run, ttl in ms, the revocation's id if it is of the whole
#: user or else an empty string, fields.
#: If the database is rolled back, the mark stays, and only costs SQL until the TTL.
#: The script can run twice, because its first answer was lost, with the same effect.
#: A hash of another server is deleted first: the next lease would delete it together with the mark.
MARK: Final = """
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
for i = 4, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= '1' then redis.call('HSET', KEYS[1], ARGV[i], '?') end
end
if ARGV[3] ~= '' then
  local under_way = redis.call('HGET', KEYS[1], 'd') or ''
  if not string.find(under_way, ARGV[3], 1, true) then
    redis.call('HSET', KEYS[1], 'd', under_way .. ARGV[3] .. ' ')
  end
end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""

#: Revoke for good and break the lease. ARGV: run, ttl in ms, the revocation's id if it is of the
#: whole user or else an empty string, fields.
#: For a whole user, the live sessions are removed from the hash, so that each request asks the
#: database again.
#: A delete comes first: on a full server, a script may continue once it has written something.
CONFIRM: Final = """
redis.call('HDEL', KEYS[1], 'lease')
if ARGV[3] ~= '' then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 's:' and all[i + 1] == '0' then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
  local under_way = redis.call('HGET', KEYS[1], 'd') or ''
  local from, to = string.find(under_way, ARGV[3] .. ' ', 1, true)
  if from then
    local others = string.sub(under_way, 1, from - 1) .. string.sub(under_way, to + 1)
    if others == '' then redis.call('HDEL', KEYS[1], 'd')
    else redis.call('HSET', KEYS[1], 'd', others) end
  end
end
for i = 4, #ARGV do redis.call('HSET', KEYS[1], ARGV[i], '1') end
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
