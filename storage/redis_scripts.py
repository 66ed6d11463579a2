"""What runs inside the server, as one step: each script checks first who may write.

The *fence* is a key that names the connection that may: the actor's incarnation, and how many
connections it has made.  Functions and texts; nothing is kept here.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TAKE", "TIDY", "WRITE"]

# KEYS: fence.  ARGV: token.  Takes the fence unless a later incarnation has it.
# Returns {1, who had it} or {0, who has it}.
TAKE: Final = """
local function incarnation(token)
    local numbers = {}
    for number in string.gmatch(string.match(token, '^[^/]*'), '%d+') do
        numbers[#numbers + 1] = tonumber(number)
    end
    return numbers
end
local held = redis.call('GET', KEYS[1])
if held then
    local theirs, ours = incarnation(held), incarnation(ARGV[1])
    for i = 1, math.max(#theirs, #ours) do
        local a, b = theirs[i] or 0, ours[i] or 0
        if a > b then return {0, held} end
        if a < b then break end
    end
end
redis.call('SET', KEYS[1], ARGV[1])
return {1, held or ''}
"""

# KEYS: fence, owed, then the sessions: put, use, drop in this order.
# ARGV: token, how many are put, used, owed fields set; four texts for each that is put (version,
# milliseconds, use, data), three for each that is used; two for each field; the fields to delete.
# Returns {0, who has the fence} or {1, the positions in ``use`` whose data is of another version}.
WRITE: Final = """
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {0, held or ''} end
local puts, uses, sets = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local key, at, answer = 3, 5, {1}
for i = 1, puts do
    redis.call('HSET', KEYS[key], 'life', held, 'version', ARGV[at], 'use', ARGV[at + 2],
               'data', ARGV[at + 3])
    redis.call('PEXPIRE', KEYS[key], ARGV[at + 1])
    key, at = key + 1, at + 4
end
for i = 1, uses do
    if redis.call('HGET', KEYS[key], 'version') == ARGV[at] then
        redis.call('HSET', KEYS[key], 'life', held, 'use', ARGV[at + 2])
        redis.call('PEXPIRE', KEYS[key], ARGV[at + 1])
    else
        answer[#answer + 1] = i
    end
    key, at = key + 1, at + 3
end
for i = key, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 1, sets do
    redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
    at = at + 2
end
for i = at, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return answer
"""

# KEYS: fence, then sessions.  ARGV: token.  Removes those that were not written under it.
TIDY: Final = """
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then return {0, held or ''} end
for i = 2, #KEYS do
    if redis.call('HGET', KEYS[i], 'life') ~= held then redis.call('DEL', KEYS[i]) end
end
return {1}
"""
