"""The steps on a user's hash that must be atomic, in Lua. ``ARGV[1]`` is always the run of the
server.

None of them prolongs the life of a complete hash: its TTL counts from when the database was read,
and is the bound for whatever else goes wrong.
"""

from __future__ import annotations

from typing import Final

#: Take the lease. ARGV: run, lease, ttl in ms.
LEASE: Final = """
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('HDEL', KEYS[1], 'v')
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

#: Complete the hash, adding to it. ARGV: run, the run that gave the lease, lease, ttl in ms, fields
#: and values.
COMPLETE: Final = """
if ARGV[1] ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'run', ARGV[1], unpack(ARGV, 5))
redis.call('HDEL', KEYS[1], 'lease')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""

#: Mark what is about to be revoked. ARGV: run, ttl in ms, 1 for the whole user, fields.
#: A mark that nothing follows, because the database was rolled back, only costs SQL until the TTL.
MARK: Final = """
for i = 4, #ARGV do redis.call('HSETNX', KEYS[1], ARGV[i], '?') end
if ARGV[3] == '1' then redis.call('HINCRBY', KEYS[1], 'd', 1) end
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""

#: Revoke for good and break the lease. ARGV: run, ttl in ms, 1 for the whole user, fields.
#: Where a full server takes no more, the hash goes: incomplete is always safe.
CONFIRM: Final = """
redis.call('HDEL', KEYS[1], 'lease')
if ARGV[3] == '1' then
  redis.call('HDEL', KEYS[1], 'v')
  local under_way = tonumber(redis.call('HGET', KEYS[1], 'd') or '0')
  if under_way > 1 then redis.call('HINCRBY', KEYS[1], 'd', -1)
  else redis.call('HDEL', KEYS[1], 'd') end
end
for i = 4, #ARGV do
  local written = redis.pcall('HSET', KEYS[1], ARGV[i], '1')
  if type(written) == 'table' and written.err then redis.call('DEL', KEYS[1]) return 1 end
end
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
"""
