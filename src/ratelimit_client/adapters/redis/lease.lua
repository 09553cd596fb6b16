-- The law of core/pool.py, line by line, for a store that counts in floats of 53 bits.
-- KEYS: one hash for each budget, then one for each of what processes tell of it, all in one slot.
-- ARGV: process, number of the call, microseconds a lease lasts, then one text for each budget (see wire.py).
-- Answers the store's time, then one text for each budget.

local KEPT_US = 600000000
local TURN_US = 1000000
local CAUTIOUS_US = 3000000
local FORGOTTEN_MS = 86400000
local WORDS_KEPT_US = 86400000000
local MOST_TELLERS = 8

local process, number, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local min, max = math.min, math.max

local function text(x)
  return string.format('%.0f', x)
end

-- Of whole numbers that are not below zero; the operator % is not exact.
local function div(a, b)
  local rest = math.fmod(a, b)
  return (a - rest) / b, rest
end

-- a x b + c, divided by d, without ever passing 2^53: b in digits of eight bits, as on paper.
local function muldiv(a, b, c, d)
  local digits = {}
  repeat
    local digit
    b, digit = div(b, 256)
    digits[#digits + 1] = digit
  until b == 0
  local quotient, rest = 0, 0
  for i = #digits, 1, -1 do
    local q, r = div(rest * 256 + a * digits[i], d)
    quotient, rest = quotient * 256 + q, r
  end
  local q, r = div(rest + c, d)
  return quotient + q, r
end

local function words(line)
  local found = {}
  for word in string.gmatch(line, '%S+') do
    found[#found + 1] = word
  end
  return found
end

local function numbers(list, from)
  for i = from, #list do
    list[i] = tonumber(list[i])
  end
  return list
end

-- Reading and writing a budget ----------------------------------------------------

local function load(key)
  local pool = { born = now, fences = 0, forgotten = 0, cautious = 0, buckets = {}, members = {}, lent = {}, savings = {},
    raw = {}, outs = {} }
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    pool.raw[field] = value
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    local w = words(value)
    if kind == 'p:' then
      numbers(w, 1)
      pool.born, pool.fences, pool.forgotten, pool.cautious = w[1], w[2], w[3], w[4]
    elseif kind == 'b:' then
      numbers(w, 2)
      local id = words(name)
      pool.buckets[name] = { unit = id[1], window = tonumber(id[3]), fill = w[1], limit = w[2], capacity = w[3],
        level = w[4], as_of = w[5], fraction = w[6], sent = w[7], steps = w[8] }
    elseif kind == 'l:' then
      pool.lent[name] = tonumber(value)
    elseif kind == 's:' then
      pool.savings[name] = { halves = tonumber(value) }
    elseif kind == 'm:' then
      local member = { fence = tonumber(w[1]), number = tonumber(w[2]), until_ = tonumber(w[3]), holdings = {} }
      for j = 4, #w, 6 do
        member.holdings[w[j]] = { spent = tonumber(w[j + 1]), held = tonumber(w[j + 2]), wants = tonumber(w[j + 3]),
          needs = tonumber(w[j + 4]), since = tonumber(w[j + 5]) }
      end
      pool.members[name] = member
    end
  end
  return pool
end

local function store(key, pool)
  local fields = { ['p:'] = table.concat({ text(pool.born), text(pool.fences), text(pool.forgotten),
    text(pool.cautious) }, ' ') }
  for id, b in pairs(pool.buckets) do
    fields['b:' .. id] = table.concat({ b.fill, text(b.limit), text(b.capacity), text(b.level), text(b.as_of),
      text(b.fraction), text(b.sent), text(b.steps) }, ' ')
  end
  for unit, lent in pairs(pool.lent) do
    fields['l:' .. unit] = text(lent)
  end
  for unit, saving in pairs(pool.savings) do
    fields['s:' .. unit] = text(saving.halves)
  end
  for name in pairs(pool.members) do
    fields['m:' .. name] = pool.raw['m:' .. name]  -- of the others nothing has changed
  end
  local m = pool.members[process]
  if m then
    local parts = { text(m.fence), text(m.number), text(m.until_) }
    for unit, h in pairs(m.holdings) do
      parts[#parts + 1] = table.concat({ unit, text(h.spent), text(h.held), text(h.wants), text(h.needs),
        text(h.since) }, ' ')
    end
    fields['m:' .. process] = table.concat(parts, ' ')
  end
  for field in pairs(pool.raw) do
    if fields[field] == nil then
      redis.call('HDEL', key, field)
    end
  end
  for field, value in pairs(fields) do
    if pool.raw[field] ~= value then
      redis.call('HSET', key, field, value)
    end
  end
  local keep = FORGOTTEN_MS
  for _, b in pairs(pool.buckets) do
    local q = div(b.window, 500)
    keep = max(keep, q)
  end
  redis.call('PEXPIRE', key, text(keep))
end

-- The law ---------------------------------------------------------------------------

-- Summed up once, and anew after somebody's lease has changed.
local function out(pool, unit)
  if pool.outs[unit] then
    return pool.outs[unit]
  end
  local sum = 0
  for _, member in pairs(pool.members) do
    local holding = member.holdings[unit]
    if holding and now < member.until_ then
      sum = sum + holding.held
    end
  end
  pool.outs[unit] = sum
  return sum
end

local function take(pool, unit, units)
  pool.lent[unit] = (pool.lent[unit] or 0) + units
  for _, b in pairs(pool.buckets) do
    if b.unit == unit then
      local level = min(b.level - units, b.capacity - out(pool, unit))
      b.level = max(level, -b.capacity)
      if b.fill == 'w' and b.steps == 0 and units > 0 then
        b.steps = now + b.window
      end
    end
  end
end

local function gain(b, elapsed, room)
  if b.fill == 'w' then
    if b.steps == 0 or now < b.steps then
      return 0
    end
    local passed = div(now - b.steps, b.window)
    b.steps = b.steps + (passed + 1) * b.window
    return room
  end
  if elapsed >= 2 * b.window then
    return room
  end
  local gained
  gained, b.fraction = muldiv(elapsed, b.limit, b.fraction, b.window)
  return gained
end

local function refresh(pool, b)
  local elapsed = now - b.as_of
  b.as_of = now
  if elapsed <= 0 then
    return 0
  end
  local room = b.capacity - out(pool, b.unit) - b.level
  local gained = gain(b, elapsed, room)
  if gained >= room then
    gained, b.fraction = max(0, room), 0
  end
  b.level = b.level + gained
  return gained
end

local function learn(pool, f)
  local b = pool.buckets[f.id]
  local lent_out = div(out(pool, f.unit), f.slice and 2 or 1)
  if b and f.news and f.capacity == 0 then
    pool.buckets[f.id] = nil
  end
  if f.capacity == 0 then
    return
  end
  if b == nil then
    local level = pool.forgotten ~= 0 and min(f.level, 0) or f.level
    b = { unit = f.unit, window = f.window, fill = f.fill, limit = f.limit, capacity = f.capacity,
      level = level - lent_out, as_of = now, fraction = 0, sent = 0, steps = f.steps > 0 and now + f.steps or 0 }
    pool.buckets[f.id] = b
  elseif f.news then
    b.fill, b.limit, b.capacity = f.fill, f.limit, f.capacity
    b.fraction = 0
    if f.steps > 0 then
      b.steps = now + f.steps
    end
  end
  local level = min(b.level, min(f.level, b.capacity) - lent_out)
  b.level = max(level, -b.capacity)
end

local function write_down(pool, member, w, keeps)
  local holding = member.holdings[w.unit]
  local back = 0
  if holding == nil then
    holding = {}
    member.holdings[w.unit] = holding
  else
    back = holding.held - (w.spent - holding.spent) - keeps
  end
  holding.spent, holding.held = w.spent, keeps
  pool.outs = {}
  holding.wants, holding.needs = w.wants, w.needs
  holding.since = now - w.waits
  take(pool, w.unit, -back)
end

local function see(pool, s)
  local b = pool.buckets[s.id]
  local sent = now - s.sent
  if b == nil or sent <= b.sent then
    return
  end
  b.sent = sent
  local has = s.remaining
  if b.fill ~= 'w' then
    local refill = muldiv(min(s.seen, 2 * b.window), b.limit, 0, b.window)
    has = has + refill
  end
  local most = b.capacity - out(pool, b.unit)
  local least = min(has - ((pool.lent[b.unit] or 0) - s.lent) - s.out, most)
  if b.level < least or b.level > has + 1 then
    b.level, b.fraction = max(least, -b.capacity), 0
  end
end

local function silent_all(pool)
  local any = false
  for _, member in pairs(pool.members) do
    if now < member.until_ then
      return false
    end
    any = true
  end
  return any
end

local function part(pool, unit)
  local least, members
  members = 0
  for _, b in pairs(pool.buckets) do
    if b.unit == unit then
      local flow = muldiv(TURN_US, b.limit, 0, b.window)
      least = least and min(least, flow) or flow
    end
  end
  for _ in pairs(pool.members) do
    members = members + 1
  end
  local each = div(least, max(1, members))
  return each
end

local function owner_of(pool, unit)
  local found, since = '', 0
  for name, member in pairs(pool.members) do
    local holding = member.holdings[unit]
    if holding and holding.needs > 0 and now < member.until_ then
      if found == '' or holding.since < since or (holding.since == since and name < found) then
        found, since = name, holding.since
      end
    end
  end
  return found
end

local function fair_of(pool, unit, lowest)
  local wants = {}
  for _, member in pairs(pool.members) do
    local holding = member.holdings[unit]
    if holding and now < member.until_ then
      wants[#wants + 1] = holding.wants
    end
  end
  table.sort(wants)
  local left, many = lowest + out(pool, unit), #wants
  for _, want in ipairs(wants) do
    local share = max(1, (div(max(left, 0), many)))
    if want > share then
      return share
    end
    left, many = left - want, many - 1
  end
  return nil
end

local function told(pool, unit, units, fair, at_once)
  return table.concat({ 'g', unit, text(units), text(fair), at_once and '1' or '0', text(pool.lent[unit] or 0),
    text(out(pool, unit)) }, ' ')
end

local function grant(pool, member, w, gained)
  local unit = w.unit
  local lowest
  for _, b in pairs(pool.buckets) do
    if b.unit == unit then
      lowest = lowest and min(lowest, b.level) or b.level
    end
  end
  if lowest == nil then
    return told(pool, unit, 0, 0, false)
  end
  if now < pool.cautious then
    lowest = min(lowest, part(pool, unit))
  end
  local free = max(0, lowest)
  local owner = owner_of(pool, unit)
  local saving = pool.savings[unit] or { halves = 0 }
  pool.savings[unit] = saving
  local fair = fair_of(pool, unit, lowest)
  if owner == '' then
    saving.halves = 0
  else
    local theirs = pool.members[owner].holdings[unit]
    local came = gained[unit] or 0
    if fair == nil or theirs.held + theirs.needs <= fair then
      came = 2 * came
    end
    saving.halves = min(2 * theirs.needs, saving.halves + came)
  end
  local wants = w.wants
  if owner == process then
    wants = max(wants, w.keeps + w.needs)
  end
  local target = fair and min(wants, fair) or wants
  local holding = member.holdings[unit]
  if owner == process then
    target = max(target, holding.held + w.needs)
  elseif owner ~= '' then
    local half = div(saving.halves, 2)
    free = max(0, free - half)
    if fair and w.needs > 0 and w.keeps + w.needs > fair then
      target = 0
    end
  end
  local units = max(0, min(target - holding.held, free))
  local plenty = fair == nil
  for _, b in pairs(pool.buckets) do
    if b.unit == unit and 2 * (b.level - units) < b.capacity then
      plenty = false
    end
  end
  if units > 0 then
    holding.held = holding.held + units
    pool.outs = {}
    take(pool, unit, units)
  end
  if owner == process then
    saving.halves = max(0, saving.halves - 2 * units)
  end
  return told(pool, unit, units, max(target, 0), plenty)
end

local function lease(pool, member, lines)
  local members, before, among = 0, 0, false
  for name, each in pairs(pool.members) do
    if now < each.until_ then
      members = members + 1
      if name < process then
        before = before + 1
      end
      among = among or name == process
    end
  end
  local turn = TURN_US
  if among then
    local slot = div(before * TURN_US, members)
    local _, at = div(now, TURN_US)
    turn = slot - at
    if turn < 0 then
      turn = turn + TURN_US
    end
    if 2 * turn < TURN_US then
      turn = turn + TURN_US
    end
  end
  local said = { table.concat({ 'h', text(member.fence), text(pool.born), text(members), text(turn) }, ' ') }
  for _, line in ipairs(lines) do
    said[#said + 1] = line
  end
  for id, b in pairs(pool.buckets) do
    said[#said + 1] = table.concat({ 'b', id, b.fill, text(b.limit), text(b.capacity), text(b.level) }, ' ')
  end
  return table.concat(said, '\n')
end

-- What processes tell those that come later; a word is the process's own, and means nothing here. ------

local function words_of(key)
  local found, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local at, said = string.match(flat[i + 1], '^(%d+) (%S+)$')
    found[#found + 1] = { name = flat[i], at = tonumber(at) or 0, said = said or '' }
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

local function note(key, said)
  redis.call('HSET', key, process, text(now) .. ' ' .. said)
  local found = words_of(key)
  table.sort(found, function(a, b) return a.at < b.at or (a.at == b.at and a.name < b.name) end)
  for i, word in ipairs(found) do
    if now - word.at >= WORDS_KEPT_US or i <= #found - MOST_TELLERS then
      redis.call('HDEL', key, word.name)
    end
  end
  redis.call('PEXPIRE', key, text(FORGOTTEN_MS))
end

local function words_of_others(key)
  local said = {}
  for _, word in ipairs(words_of(key)) do
    if word.name ~= process and word.said ~= '' then
      said[#said + 1] = 't ' .. text(max(0, now - word.at)) .. ' ' .. word.said
    end
  end
  return said
end

-- One renewal -------------------------------------------------------------------------

local function parse(said)
  local r = { facts = {}, wishes = {}, sights = {} }
  for line in string.gmatch(said, '[^\n]+') do
    local w = words(line)
    if w[1] == 'r' then
      numbers(w, 2)
      r.fence, r.born, r.leaves = w[2], w[3], w[4] == 1
    elseif w[1] == 'f' then
      numbers(w, 7)
      r.facts[#r.facts + 1] = { id = table.concat({ w[2], w[3], w[4], w[5] }, ' '), unit = w[2],
        window = tonumber(w[4]), slice = w[5] == '1', fill = w[6], limit = w[7], capacity = w[8], level = w[9], steps = w[10],
        news = w[11] == 1 }
    elseif w[1] == 'w' then
      numbers(w, 3)
      r.wishes[#r.wishes + 1] = { unit = w[2], spent = w[3], keeps = w[4], wants = w[5], needs = w[6], waits = w[7] }
    elseif w[1] == 's' then
      numbers(w, 6)
      r.sights[#r.sights + 1] = { id = table.concat({ w[2], w[3], w[4], w[5] }, ' '), remaining = w[6], sent = w[7],
        seen = w[8], lent = w[9], out = w[10] }
    elseif w[1] == 't' then
      r.tells = w[2]
    elseif w[1] == 'a' then
      r.asks = true
    end
  end
  return r
end

local function renew(pool, r, words_key)
  for name, member in pairs(pool.members) do
    if now >= member.until_ + KEPT_US then
      pool.members[name] = nil
    end
  end
  if silent_all(pool) then
    pool.cautious = now + CAUTIOUS_US
  end
  local gained = {}
  for _, b in pairs(pool.buckets) do
    local came = refresh(pool, b)
    gained[b.unit] = min(came, gained[b.unit] or came)
  end
  local member = pool.members[process]
  local lines = {}
  if member and number <= member.number then
    for _, w in ipairs(r.wishes) do
      local holding = member.holdings[w.unit]
      local units = holding and max(0, holding.held - w.keeps) or 0
      lines[#lines + 1] = told(pool, w.unit, units, w.keeps + units, false)
    end
    return lease(pool, member, lines)
  end
  if r.born ~= 0 and r.born ~= pool.born and r.born ~= pool.forgotten then
    pool.forgotten = r.born
    for _, b in pairs(pool.buckets) do
      b.level, b.fraction = min(b.level, 0), 0
    end
  end
  local known = member ~= nil and member.fence == r.fence and now < member.until_
  local returns = r.born ~= 0 and r.born ~= pool.born
  if member == nil then
    member = { holdings = {} }
    pool.members[process] = member
  end
  if not known then
    pool.fences = pool.fences + 1
    member.fence = pool.fences
  end
  member.number, member.until_ = number, now + ttl
  pool.outs = {}
  for _, w in ipairs(r.wishes) do
    write_down(pool, member, w, (known or returns) and w.keeps or 0)
  end
  for _, f in ipairs(r.facts) do
    learn(pool, f)
  end
  for _, s in ipairs(r.sights) do
    see(pool, s)
  end
  if r.tells then
    note(words_key, r.tells)
  end
  if r.leaves then
    pool.members[process] = nil
    pool.outs = {}
    return lease(pool, member, lines)
  end
  for _, w in ipairs(r.wishes) do
    lines[#lines + 1] = grant(pool, member, w, gained)
  end
  return lease(pool, member, lines)
end

local answer = { text(now) }
local budgets = #KEYS / 2
for i = 1, budgets do
  local pool, r, words_key = load(KEYS[i]), parse(ARGV[i + 3]), KEYS[budgets + i]
  local said = { renew(pool, r, words_key) }
  if r.asks then
    for _, line in ipairs(words_of_others(words_key)) do
      said[#said + 1] = line
    end
  end
  answer[i + 1] = table.concat(said, '\n')
  store(KEYS[i], pool)
end
return answer
