-- Every write of the Redis store, each call one atomic step.  Called by redis_server.py.
--
-- A commit is kept in PENDING and put into queue, history and parts by the next call that knows it was confirmed.  So a
-- commit whose answer was lost can be taken back or replaced: the caller, who was told that nothing was kept, is right.
--
-- ARGV: command, life of the caller, number of its last confirmed commit, number of this attempt, then what the command
-- needs.  Attempts only rise: what arrives late, after its caller has given it up, finds a higher one and does nothing.

local META, LEASE, QUEUE, ITEMS, HISTORY, UIDS, NUMBERS, PARTS, RESULTS, ORDER, PENDING, SCRATCH = unpack(KEYS, 1, 12)
local REQUESTS, REQUEST_ORDER, REPLIES = unpack(KEYS, 13, 15)
local COMMAND, LIFE, CONFIRMED, ATTEMPT = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local FORMAT = 1
local STEP, LIMIT = 2 ^ 30, 2 ^ 52 -- ranks are whole numbers, and exact
local SLICE = 1000 -- words of one call; even, so that pairs stay together

local function exact(number)
    return string.format('%.0f', number)
end

-- What each key of the queue is; a key that is something else was written by another program.
local KINDS = {'hash', 'string', 'zset', 'hash', 'list', 'list', 'hash', 'hash', 'hash', 'list', 'list', 'string', 'hash', 'list', 'hash'}

local function kind_of(key)
    return redis.call('TYPE', key).ok
end

-- Return the places in KEYS of what another program has written there.
local function foreign()
    local found = {}
    for at, key in ipairs(KEYS) do
        local kind = kind_of(key)
        if kind ~= 'none' and kind ~= KINDS[at] then
            found[#found + 1] = at
        end
    end
    return found
end

local function field(name)
    return redis.call('HGET', META, name) or nil -- nil instead of false
end

local function count(name)
    return tonumber(field(name) or '0')
end

local function sliced(command, key, words)
    for at = 1, #words, SLICE do
        redis.call(command, key, unpack(words, at, math.min(at + SLICE - 1, #words)))
    end
end

local function part_of(words, first, last)
    local found = {}
    for at = first, last do
        found[#found + 1] = words[at]
    end
    return found
end

-- Return the first of `number` new ranks and their distance, in front of an item or (before == '') at the back.
local function ranks(number, before)
    for _ = 1, 2 do
        if before == '' then
            local last = tonumber(redis.call('ZREVRANGE', QUEUE, 0, 0, 'WITHSCORES')[2] or '0')
            if last + STEP * number <= LIMIT then
                return last + STEP, STEP
            end
        else
            local high = redis.call('ZSCORE', QUEUE, before)
            if not high then
                error('item ' .. before .. ' should be in the queue and is not')
            end
            high = tonumber(high)
            local below = redis.call('ZREVRANGEBYSCORE', QUEUE, '(' .. exact(high), '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
            local low = below[2] and tonumber(below[2]) or high - STEP * (number + 1)
            local gap = math.floor((high - low) / (number + 1))
            if gap >= 1 and low >= -LIMIT then
                return low + gap, gap
            end
        end
        local words = {} -- the gap is used up: all ranks are given anew
        for place, uid in ipairs(redis.call('ZRANGE', QUEUE, 0, -1)) do
            words[2 * place - 1], words[2 * place] = exact(place * STEP), uid
        end
        sliced('ZADD', QUEUE, words)
    end
    error('there is no room for ' .. number .. ' more items in the order')
end

local function place(uids, before)
    local rank, gap = ranks(#uids, before)
    local words = {}
    for at, uid in ipairs(uids) do
        words[2 * at - 1], words[2 * at] = exact(rank + (at - 1) * gap), uid
    end
    sliced('ZADD', QUEUE, words)
end

local changes = {}

function changes.insert(words) -- before, then uid and text of each
    local uids = {}
    for at = 2, #words, 2 do
        uids[#uids + 1] = words[at]
    end
    sliced('HSET', ITEMS, part_of(words, 2, #words))
    place(uids, words[1])
end

function changes.remove(words) -- uids
    sliced('ZREM', QUEUE, words)
    sliced('HDEL', ITEMS, words)
end

function changes.move(words) -- before, then uids; those that are not there are ignored
    local uids = {}
    for at = 2, #words do
        if redis.call('ZREM', QUEUE, words[at]) == 1 then
            uids[#uids + 1] = words[at]
        end
    end
    place(uids, words[1])
end

function changes.replace(words) -- uid, new uid, text
    local rank = redis.call('ZSCORE', QUEUE, words[1])
    if not rank then
        error('item ' .. words[1] .. ' should be in the queue and is not')
    end
    redis.call('ZREM', QUEUE, words[1])
    redis.call('HDEL', ITEMS, words[1])
    redis.call('ZADD', QUEUE, rank, words[2])
    redis.call('HSET', ITEMS, words[2], words[3])
end

function changes.clear()
    redis.call('UNLINK', QUEUE, ITEMS)
end

function changes.append(words) -- uid and text of each
    local last = count('end')
    for at = 1, #words, 2 do
        redis.call('RPUSH', UIDS, words[at])
        redis.call('RPUSH', HISTORY, words[at + 1])
        redis.call('HSET', NUMBERS, words[at], exact(last))
        last = last + 1
    end
    redis.call('HSET', META, 'end', exact(last))
end

function changes.trim(words) -- count; only marked, see `tidy`
    redis.call('HSET', META, 'first', exact(math.min(count('first') + tonumber(words[1]), count('end'))))
end

function changes.forget(words) -- uids of results
    for _, uid in ipairs(words) do
        if redis.call('HDEL', RESULTS, uid) == 1 then
            redis.call('LREM', ORDER, 1, uid)
        end
    end
end

function changes.result(words) -- uid, text
    changes.forget({words[1]})
    redis.call('HSET', RESULTS, words[1], words[2])
    redis.call('RPUSH', ORDER, words[1])
end

function changes.unrequest(words) -- ids of requests
    for _, id in ipairs(words) do
        if redis.call('HDEL', REQUESTS, id) == 1 then
            redis.call('LREM', REQUEST_ORDER, 1, id)
        end
    end
    sliced('HDEL', REPLIES, words)
end

function changes.request(words) -- id, record, reply
    changes.unrequest({words[1]})
    redis.call('HSET', REQUESTS, words[1], words[2])
    redis.call('RPUSH', REQUEST_ORDER, words[1])
    redis.call('HSET', REPLIES, words[1], words[3])
end

function changes.parts(words) -- name and text of each
    sliced('HSET', PARTS, words)
end

function changes.environment_host(words) -- host, or '' if none is open; the first of each pending commit
    redis.call('HSET', META, 'environment_host', words[1])
end

-- Where an environment is open, counting the pending commit.
local function environment_host()
    if redis.call('LINDEX', PENDING, 0) == 'environment_host' then
        return redis.call('LINDEX', PENDING, 2)
    end
    return field('environment_host') or ''
end

-- Put the pending commit, which is confirmed, to the others.  PENDING: name, number of words, words, ...
local function fold()
    local words = redis.call('LRANGE', PENDING, 0, -1)
    if #words == 0 then
        return
    end
    redis.call('DEL', SCRATCH) -- a write that a full server takes: those after it pass
    local done, fault = pcall(function()
        local at = 1
        while at <= #words do
            local number = tonumber(words[at + 1])
            changes[words[at]](part_of(words, at + 2, at + 1 + number))
            at = at + 2 + number
        end
    end)
    redis.call('DEL', PENDING)
    redis.call('HSET', META, 'pending', '0', 'size', redis.call('ZCARD', QUEUE))
    if not done then
        redis.call('HSET', META, 'damaged', type(fault) == 'table' and fault.err or tostring(fault))
    end
end

-- Say what is missing, if anything: somebody else has written here, or the server has thrown keys away.
local function damage()
    if field('damaged') then
        return field('damaged')
    end
    local size = count('size')
    if redis.call('ZCARD', QUEUE) ~= size or redis.call('HLEN', ITEMS) ~= size then
        return 'items of the queue are missing'
    end
    local kept = count('end') - count('base')
    if redis.call('LLEN', HISTORY) ~= kept or redis.call('LLEN', UIDS) ~= kept then
        return 'entries of the history are missing'
    end
    if redis.call('LLEN', PENDING) ~= count('pending') then
        return 'the last commit is missing'
    end
    if field('number') and redis.call('EXISTS', PARTS) == 0 then
        return 'the state is missing'
    end
    if redis.call('HLEN', RESULTS) ~= redis.call('LLEN', ORDER) then
        return 'results of tasks are missing'
    end
    if redis.call('HLEN', REQUESTS) ~= redis.call('LLEN', REQUEST_ORDER) then
        return 'records of requests are missing'
    end
end

-- Say how this server stands to the caller.  ARGV[5..7]: id of the store, fence and time (s) of the caller's acquisition.
local function standing()
    local life = field('life')
    if not life then
        return 'empty'
    end
    if life ~= LIFE then
        if field('id') ~= ARGV[5] or count('fence') >= tonumber(ARGV[6]) or tonumber(field('since')) > tonumber(ARGV[7]) then
            return 'lost'
        end
        return redis.call('EXISTS', LEASE) == 1 and 'held' or 'older'
    end
    local number = count('number')
    if number ~= CONFIRMED and number ~= CONFIRMED + 1 then
        return 'older'
    end
    local fault = damage()
    return fault and 'damaged: ' .. fault or 'right'
end

-- Bring the server to the last confirmed commit: fold it, or take back one of which the caller never heard.
local function settle()
    if ATTEMPT <= count('attempt') then
        return
    end
    redis.call('HSET', META, 'attempt', exact(ATTEMPT))
    if count('number') == CONFIRMED then
        fold()
    else
        redis.call('DEL', PENDING)
        redis.call('HSET', META, 'number', exact(CONFIRMED), 'pending', '0')
    end
end

-- Whether the store is the caller's, as far as that can be told.
local function is_mine()
    local kind = kind_of(META)
    local life = kind == 'hash' and field('life')
    if not life and kind_of(LEASE) == 'string' then
        life = redis.call('GET', LEASE)
    end
    return life == LIFE or (not life and kind ~= 'hash' and kind ~= 'none')
end

-- Keep what another program has written under other names, so that the owner can write everything anew.
local function move_aside(places)
    redis.call('DEL', SCRATCH) -- a full server must not refuse
    local said = {}
    for _, at in ipairs(places) do
        local head, name = KEYS[at]:match('^(.*:)([^:]*)$')
        local aside = head .. 'aside:' .. redis.call('TIME')[1] .. ':' .. name
        said[#said + 1] = KEYS[at] .. ' was overwritten by another program with a ' .. kind_of(KEYS[at]) .. ', kept as ' .. aside
        redis.call('RENAME', KEYS[at], aside)
        if KEYS[at] == NUMBERS and kind_of(UIDS) == 'list' then -- it is known from the others
            for place, uid in ipairs(redis.call('LRANGE', UIDS, 0, -1)) do
                redis.call('HSET', NUMBERS, uid, exact(count('base') + place - 1))
            end
        end
    end
    if kind_of(META) == 'hash' then
        redis.call('HSET', META, 'damaged', table.concat(said, '; '))
    end
end

local function renew(milliseconds)
    if redis.call('PEXPIRE', LEASE, milliseconds) == 0 then
        redis.call('SET', LEASE, LIFE, 'PX', milliseconds)
    end
end

local commands = {}

-- ARGV[5..]: life of an owner that is dead (or ''), the new owner, id if the store is new, time (s), lease (ms), place,
-- whether an environment in another place is given up ('1'), the smallest fence that is given.
-- A place is the host and, behind a colon, the data directory; an earlier version wrote the host alone.
function commands.acquire()
    local dead, owner, id, since, milliseconds, host, take_over, at_least = unpack(ARGV, 5, 12)
    local places = foreign()
    if #places > 0 then -- who starts does not guess
        local key = KEYS[places[1]]
        return {'damaged', key .. ' was overwritten by another program with a ' .. kind_of(key)}
    end
    local lease = redis.call('GET', LEASE)
    if lease and lease ~= dead then
        return {'owned', redis.call('HGET', META, 'owner') or '', redis.call('PTTL', LEASE)}
    end
    local format = field('format')
    if format and tonumber(format) > FORMAT then
        return {'too_new', format}
    end
    if not format and redis.call('EXISTS', QUEUE, ITEMS, HISTORY, UIDS, PARTS, RESULTS, REQUESTS, PENDING) > 0 then
        return {'damaged', 'what describes the rest is missing'}
    end
    local elsewhere = environment_host()
    local is_here = elsewhere == '' or elsewhere == host
        or elsewhere == string.match(host, '^([^:]*):') or host == string.match(elsewhere, '^([^:]*):')
    if not is_here and take_over ~= '1' then
        return {'elsewhere', elsewhere}
    end
    local fault = damage()
    if fault then
        return {'damaged', fault}
    end
    redis.call('DEL', SCRATCH)
    if not format then
        redis.call('HSET', META, 'format', FORMAT, 'id', id, 'fence', '0', 'first', '0', 'base', '0', 'end', '0')
    end
    fold() -- a pending commit counts: it was confirmed to somebody
    fault = damage()
    if fault then
        return {'damaged', fault}
    end
    local fence = math.max(count('fence') + 1, tonumber(at_least))
    redis.call('HSET', META, 'fence', exact(fence), 'life', LIFE, 'owner', owner, 'since', since, 'attempt', '0')
    redis.call('SET', LEASE, LIFE, 'PX', milliseconds)
    return {'right', fence, field('id'), count('number')}
end

-- ARGV[8..]: lease (ms), whether it only makes things smaller ('1'), host of the environment (or ''), then PENDING.
function commands.commit()
    local found = standing()
    if found ~= 'right' then
        return {found}
    end
    if ATTEMPT <= count('attempt') then
        return {'late'}
    end
    if ARGV[9] == '1' then
        redis.call('DEL', SCRATCH) -- as above: who clears a full server must not be refused
    end
    settle()
    redis.call('RPUSH', PENDING, 'environment_host', '1', ARGV[10])
    local words = part_of(ARGV, 11, #ARGV)
    sliced('RPUSH', PENDING, words)
    redis.call('HSET', META, 'number', exact(CONFIRMED + 1), 'pending', 3 + #words)
    renew(ARGV[8])
    return {'right'}
end

-- ARGV[8]: lease (ms).  Also settles, so that a commit in doubt does not outlive its manager for longer than needed.
function commands.renew()
    local found = standing()
    if found == 'right' and ATTEMPT <= count('attempt') then
        return {'late'} -- whoever asked has given the lease back meanwhile
    end
    if found == 'right' then
        renew(ARGV[8])
        settle()
    end
    return {found}
end

-- Fails where the server is full.
function commands.probe()
    redis.call('SET', SCRATCH, '1', 'PX', 1000)
    return {'right'}
end

-- What readers begin with: a commit that is known to be confirmed is put to the others, so that it is seen.
function commands.see()
    if field('life') == LIFE and count('number') == CONFIRMED then
        fold()
    end
    local is_right = field('life') == LIFE and count('number') >= CONFIRMED -- higher: one more was committed meanwhile
    return {is_right and 'right' or 'other', count('first'), count('end'), damage() or ''}
end

-- ARGV[5..6]: numbers of the first entry and of the one behind the last.
function commands.history()
    commands.see()
    local base = count('base')
    local from = math.max(tonumber(ARGV[5]), count('first')) - base
    local to = math.min(tonumber(ARGV[6]), count('end')) - base - 1
    if from > to then
        return {}
    end
    return redis.call('LRANGE', HISTORY, from, to)
end

-- ARGV[5..7]: place in the queue, how many items at most, bytes after which no more are read.  Answers the sizes of the
-- texts, and the texts as one: a client takes that in a tenth of the time of as many answers.
function commands.queue()
    local from = tonumber(ARGV[5])
    local uids = redis.call('ZRANGE', QUEUE, from, from + tonumber(ARGV[6]) - 1)
    local texts, sizes, room = {}, {}, tonumber(ARGV[7])
    for place, uid in ipairs(uids) do
        local text = redis.call('HGET', ITEMS, uid)
        if not text then
            return {false, uid}
        end
        texts[place], sizes[place] = text, #text
        room = room - #text
        if room < 0 then
            break
        end
    end
    return {table.concat(sizes, ' '), table.concat(texts)}
end

-- ARGV[5]: uid.
function commands.number()
    commands.see()
    local number = tonumber(redis.call('HGET', NUMBERS, ARGV[5]) or '-1')
    return number >= count('first') and number or false
end

-- ARGV[5]: id.
function commands.reply()
    commands.see()
    return redis.call('HEXISTS', REQUESTS, ARGV[5]) == 1 and redis.call('HGET', REPLIES, ARGV[5])
end

-- ARGV[8]: entries of the history that are taken away at most.  Answers whether there are more.
function commands.tidy()
    local found = standing()
    if found ~= 'right' then
        return {found, 0}
    end
    redis.call('DEL', SCRATCH)
    settle()
    local base, first = count('base'), count('first')
    local number = math.min(first - base, tonumber(ARGV[8]))
    if number > 0 then
        local gone = {}
        for _, uid in ipairs(redis.call('LRANGE', UIDS, 0, number - 1)) do
            if tonumber(redis.call('HGET', NUMBERS, uid) or '-1') < first then
                gone[#gone + 1] = uid
            end
        end
        sliced('HDEL', NUMBERS, gone)
        redis.call('LTRIM', UIDS, number, -1)
        redis.call('LTRIM', HISTORY, number, -1)
        redis.call('HSET', META, 'base', exact(base + number))
    end
    return {'right', first - base > number and 1 or 0}
end

-- Before everything is written anew: which entries of the history are there and sound.
function commands.survey()
    local found = standing()
    local base, last = count('base'), count('end')
    local sound = field('id') == ARGV[5] and redis.call('LLEN', HISTORY) == last - base
    sound = sound and redis.call('LLEN', UIDS) == last - base and (last == base or redis.call('EXISTS', NUMBERS) == 1)
    return {found, sound and 1 or 0, base, last}
end

-- Everything anew.  ARGV[8..]: lease (ms), host of the environment, fence, owner, first and end of the history, number of
-- the first new entry, number of the first entry that stays (== the first new one if none), where an old history is set
-- aside (or ''), then the keys of the new queue, items, parts, results, their order, requests, their order, replies, and of
-- texts and uids of the new entries.
function commands.replace()
    local found = standing()
    if found == 'lost' or found == 'held' then
        return {found}
    end
    if field('life') == LIFE and ATTEMPT <= count('attempt') then
        return {'late'}
    end
    local ms, host, fence, owner, first, last, new, stays, aside = unpack(ARGV, 8, 16)
    local texts, uids = ARGV[25], ARGV[26]
    if redis.call('LLEN', texts) ~= last - new or redis.call('EXISTS', ARGV[19]) == 0 then
        return {'incomplete'}
    end
    redis.call('DEL', SCRATCH)
    redis.call('UNLINK', META, QUEUE, ITEMS, PARTS, RESULTS, ORDER, REQUESTS, REQUEST_ORDER, PENDING)
    for at, key in ipairs({QUEUE, ITEMS, PARTS, RESULTS, ORDER, REQUESTS, REQUEST_ORDER}) do
        if redis.call('EXISTS', ARGV[16 + at]) == 1 then
            redis.call('RENAME', ARGV[16 + at], key)
            redis.call('PERSIST', key)
        end
    end
    local replies = redis.call('HGETALL', ARGV[24]) -- the newest; older ones are known here only
    sliced('HSET', REPLIES, replies)
    for _, id in ipairs(redis.call('HKEYS', REPLIES)) do
        if redis.call('HEXISTS', REQUESTS, id) == 0 then
            redis.call('HDEL', REPLIES, id)
        end
    end
    if stays == new then
        if aside ~= '' and redis.call('EXISTS', HISTORY) == 1 then
            redis.call('RENAME', HISTORY, aside)
        end
        redis.call('UNLINK', HISTORY, UIDS, NUMBERS)
    else
        redis.call('LTRIM', HISTORY, 0, new - stays - 1)
        redis.call('LTRIM', UIDS, 0, new - stays - 1)
    end
    redis.call('HSET', META, 'format', FORMAT, 'id', ARGV[5], 'life', LIFE, 'fence', fence, 'owner', owner, 'since', ARGV[7],
        'first', first, 'base', stays, 'end', new, 'number', exact(CONFIRMED + 1), 'attempt', exact(ATTEMPT),
        'pending', '0', 'size', redis.call('ZCARD', QUEUE), 'environment_host', host)
    for at = 0, last - new - 1, SLICE / 2 do
        local words = {}
        local names = redis.call('LRANGE', uids, at, at + SLICE / 2 - 1)
        for place, text in ipairs(redis.call('LRANGE', texts, at, at + SLICE / 2 - 1)) do
            words[2 * place - 1], words[2 * place] = names[place], text
        end
        changes.append(words)
    end
    redis.call('UNLINK', texts, uids, ARGV[24])
    redis.call('SET', LEASE, LIFE, 'PX', ms)
    return {'right'}
end

-- The lease is given back; the name of the owner stays.  A commit of which nobody heard is taken back.
function commands.release()
    redis.call('DEL', SCRATCH) -- as above: a full server must not refuse
    if standing() == 'right' then
        settle()
    end
    if redis.call('GET', LEASE) == LIFE then
        redis.call('DEL', LEASE)
    end
    return {'right'}
end

if COMMAND ~= 'acquire' then
    local places = foreign()
    if #places > 0 and is_mine() then
        move_aside(places)
    end
end
return commands[COMMAND]()
