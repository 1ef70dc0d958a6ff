-- Decides a batch of calls, each key's in their order of arrival.
--
-- A key's state is the time at which nothing of its burst is taken any more
-- (GCRA's theoretical arrival time), as nanoseconds since 1970 in decimal. Lua's
-- numbers are exact only up to 2^53, so that every time is two of them: whole
-- seconds, and the nanoseconds beside them. Nothing is ever rounded.
--
-- KEYS     1 the live holders of leases, then the keys
-- ARGV[1]  big-endian: holder's id (empty: exact mode), milliseconds that a
--          holder counts as alive, and for each key the number of its runs and
--          these: op, count, cost, room; of a lease also: held, least of use.
-- Reply    holders, and for each run: time taken before it, how many of its
--          count were let through, time leased
local unpack_, pack = struct.unpack, struct.pack
local sub, format, floor = string.sub, string.format, math.floor
local E9 = 1000000000
local t = redis.call('TIME')
local ts, tn = tonumber(t[1]), t[2] * 1000
local a = ARGV[1]
local holder, alive, pos = unpack_('>Bc0I4', a)

local holders = 0
if holder ~= '' then
  local ms = ts * 1000 + floor(tn / 1000000)
  redis.call('ZADD', KEYS[1], ms + alive, holder)
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
  redis.call('PEXPIRE', KEYS[1], alive)
  holders = redis.call('ZCARD', KEYS[1])
end

-- A key outlives its time by 16 to 32 s, at the end of a span of 16 s, so that
-- it is seldom a new expiry that is set: SET with one costs three times what
-- INCRBY does.
local function expiry(s) return (floor(s / 16) + 2) * 16 end

local out = { pack('>I4', holders) }
if #KEYS == 1 then return out[1] end
local vals = redis.call('MGET', unpack(KEYS, 2))
for i = 2, #KEYS do
  local v, s, n, changed = vals[i - 1], ts, tn, false
  local vs, vn
  if v then
    vs, vn = tonumber(sub(v, 1, -10)), tonumber(sub(v, -9))
    if vs and vn and (vs > ts or vs == ts and vn > tn) then s, n = vs, vn end
  end
  local runs
  runs, pos = unpack_('>I2', a, pos)
  for _ = 1, runs do
    local op, count, cs, cn, rs, rn
    op, count, cs, cn, rs, rn, pos = unpack_('>BI2I5I4I5I4', a, pos)
    local bs, bn, k, gs, gn = s - ts, n - tn, 0, 0, 0
    if bn < 0 then bs, bn = bs - 1, bn + E9 end
    if op == 0 then -- ask: as many of count as fit
      local ls, ln = ts + rs, tn + rn
      if ln >= E9 then ls, ln = ls + 1, ln - E9 end
      while k < count do
        local xs, xn = s + cs, n + cn
        if xn >= E9 then xs, xn = xs + 1, xn - E9 end
        if xs > ls or xs == ls and xn > ln then break end
        s, n, k, changed = xs, xn, k + 1, true
      end
    elseif op == 1 then -- charge without asking
      s, n, changed = s + cs, n + cn, true
      if n >= E9 then s, n = s + 1, n - E9 end
      if s > 9000000000 then s = 9000000000 end
    elseif op == 2 then -- give back
      s, n, changed = s - cs, n - cn, true
      if n < 0 then s, n = s - 1, n + E9 end
      if s < ts or s == ts and n < tn then s, n = ts, tn end
    else -- lease: up to cost, of half of what is free, and of what the holder's part leaves
      local hs, hn, ms, mn
      hs, hn, ms, mn, pos = unpack_('>I5I4I5I4', a, pos)
      local d = 4 * holders
      gs = floor(rs / d)
      gn = floor(((rs - gs * d) * E9 + rn) / d)
      gs, gn = gs - hs, gn - hn
      if gn < 0 then gs, gn = gs - 1, gn + E9 end
      local fs, fn = ts + rs - s, tn + rn - n
      if fn >= E9 then fs, fn = fs + 1, fn - E9 elseif fn < 0 then fs, fn = fs - 1, fn + E9 end
      fs, fn = floor(fs / 2), floor((fs % 2 * E9 + fn) / 2) -- half is for the others
      if fs < gs or fs == gs and fn < gn then gs, gn = fs, fn end
      if cs < gs or cs == gs and cn < gn then gs, gn = cs, cn end
      if gs < ms or gs == ms and gn < mn then
        gs, gn = 0, 0
      else
        s, n, changed = s + gs, n + gn, true
        if n >= E9 then s, n = s + 1, n - E9 end
      end
    end
    out[#out + 1] = pack('>I5I4I2I5I4', bs, bn, k, gs, gn)
  end
  if changed then
    if s == ts and n == tn then
      if v then redis.call('DEL', KEYS[i]) end
    else
      local ds, err = 9e9, nil
      if vs and vn and #v == 19 then ds = s - vs end
      if ds < 9e6 and ds > -9e6 then -- their difference is below 2^53
        err = type(redis.pcall('INCRBY', KEYS[i], format('%d', ds * E9 + n - vn))) == 'table'
        if not err and floor(s / 16) ~= floor(vs / 16) then redis.call('EXPIREAT', KEYS[i], expiry(s)) end
      end
      if err ~= false then
        redis.call('SET', KEYS[i], format('%d%09d', s, n), 'EX', expiry(s) - ts)
      end
    end
  end
end
return table.concat(out)
