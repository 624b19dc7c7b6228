"""The steps on a user's hash that must be atomic, in Lua. ``ARGV[1]`` is always the run of the
server.

A key gets its TTL when it is made, and none of them prolongs it: whatever a hash says was read from
the database after that, so the TTL is the bound for whatever else goes wrong.
"""

from __future__ import annotations

from typing import Final

#: Take the lease, on a hash of this server. ARGV: run, lease, ttl in ms.
LEASE: Final = """
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1
"""

#: Complete the hash, adding to it. ARGV: run, the run that gave the lease, lease, token version,
#: active, then fields and values.
#: One field at a time: a mark or a denial stays, and Lua can't unpack thousands of them at once.
COMPLETE: Final = """
if ARGV[1] ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[3] then return 0 end
for i = 6, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'v', ARGV[4], 'a', ARGV[5])
redis.call('HDEL', KEYS[1], 'lease')
return 1
"""

#: Mark what is about to be revoked. ARGV: run, ttl in ms, the revocation's id where it is of the
#: whole user or nothing, fields.
#: A mark that nothing follows, because the database was rolled back, only costs SQL until the TTL.
#: Run twice, because the first answer was lost, it is the same as once.
#: A hash that a former server left goes first: the next lease would drop it, and the mark with it.
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

#: Revoke for good and break the lease. ARGV: run, ttl in ms, the revocation's id where it is of the
#: whole user or nothing, fields.
#: Of the whole user: it knows no live session any more, so each is asked of the database again.
#: A delete comes first: a script that has written something may go on where the server is full.
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
