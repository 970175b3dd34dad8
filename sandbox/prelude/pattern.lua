-- string.find, match, gmatch and gsub that can always be stopped. Chunk `(K)`, loaded after numbers.lua.
-- size: one chunk for the VM: parser, cost bound and matcher share the nodes of a pattern.
--
-- C's matcher cannot be interrupted and may need n^k steps. A pattern is compiled once into nodes, from which an upper
-- bound of C's steps follows: subjects for which it is small go to C, the others to a matcher made of Lua closures that
-- counts its steps and lets C scan runs of one class. Both give the same results (tests/sandbox/test_pattern.py).
local K = ...
local N = K.numbers
local type, error, pcall, select, tostring = type, error, pcall, select, tostring
local raw_find, raw_match, raw_gmatch, raw_gsub = string.find, string.match, string.gmatch, string.gsub
local byte, sub, char, concat, unpack = string.byte, string.sub, string.char, table.concat, table.unpack
local math_type = math.type
local check_text, check_int, typeof, charge, LIMIT = N.check_text, N.check_int, N.typeof, N.charge, N.LIMIT

local C_STEPS = 200000     -- steps C may make in one call: about a millisecond
local MAX_PATTERN = 8192   -- bytes of a pattern with magic characters
local MAX_DEPTH = 190      -- quantifiers and captures, as C's limit of 200
local MAX_CAPTURES = 32
local MAX_NODES = 300      -- longer programs are not worth the estimate of their cost
local END = 256            -- what stands after the last byte of the subject, in first sets
local BATCH = 2048         -- steps between two looks at the budget

-- Sets of bytes ----------------------------------------------------------------------------------------------
-- What one item (`a`, `.`, `%a`, `[a-z]`) matches, asked from C itself: it knows the locale and every corner.
local sets, set_count = {}, 0
local function set_of(item)
    local set = sets[item]
    if set then return set end
    K.tick_check(256 + #item * 16)
    set = {}
    local p = "^" .. item .. "$"
    for b = 0, 255 do
        if raw_find(char(b), p) then set[b] = true end
    end
    if set_count >= 1024 then sets, set_count = {}, 0 end
    sets[item], set_count = set, set_count + 1
    return set
end

local function escape(c)
    return raw_find(c, "^[0-9A-Za-z]$") and c or "%" .. c
end

local function disjoint(set, first)
    for b in next, set do
        if first[b] then return false end
    end
    return true
end

local function union(a, b)
    local r = {}
    for x in next, a do r[x] = true end
    for x in next, b do r[x] = true end
    return r
end

-- Parsing ----------------------------------------------------------------------------------------------------
-- Position after the item at `i`, or nil and what is wrong with it.
local function item_end(p, i)
    local c = byte(p, i)
    i = i + 1
    if c == 37 then
        if i > #p then return nil, "malformed pattern (ends with '%')" end
        return i + 1
    end
    if c ~= 91 then return i end
    if byte(p, i) == 94 then i = i + 1 end
    repeat
        if i > #p then return nil, "malformed pattern (missing ']')" end
        local d = byte(p, i)
        i = i + 1
        if d == 37 and i <= #p then i = i + 1 end
    until byte(p, i) == 93
    return i + 1
end

local QUANTIFIERS = { [42] = "star", [43] = "plus", [45] = "lazy", [63] = "opt" }

local function add_item(nodes, p, i)
    local e, problem = item_end(p, i)
    if not e then
        nodes[#nodes + 1] = { kind = "error", text = problem }
        return #p + 1
    end
    local item = sub(p, i, e - 1)
    local literal
    if #item == 1 and item ~= "." then
        literal, item = item, escape(item)
    elseif #item == 2 and raw_find(item, "^%%[^%a%d]") then
        literal = sub(item, 2)
    end
    local kind = QUANTIFIERS[byte(p, e)]
    if kind then
        nodes[#nodes + 1] = { kind = kind, item = item }
        return e + 1
    end
    local last = nodes[#nodes]
    if literal and last and last.kind == "literal" then
        last.text = last.text .. literal
    elseif literal then
        nodes[#nodes + 1] = { kind = "literal", text = literal }
    else
        nodes[#nodes + 1] = { kind = "one", item = item }
    end
    return e
end

local function add_escape(nodes, captures, p, i)
    local c = byte(p, i + 1)
    if c == 98 then -- %b
        if i + 3 > #p then
            nodes[#nodes + 1] = { kind = "error", text = "malformed pattern (missing arguments to '%b')" }
            return #p + 1
        end
        nodes[#nodes + 1] = { kind = "balance", open = byte(p, i + 2), close = byte(p, i + 3) }
        return i + 4
    end
    if c == 102 then -- %f
        local problem, e = "missing '[' after '%f' in pattern", nil
        if byte(p, i + 2) == 91 then e, problem = item_end(p, i + 2) end
        if not e then
            nodes[#nodes + 1] = { kind = "error", text = problem }
            return #p + 1
        end
        nodes[#nodes + 1] = { kind = "frontier", set = set_of(sub(p, i + 2, e - 1)) }
        return e
    end
    if c and c >= 48 and c <= 57 then -- %1
        local k = c - 48
        local state = captures[k]
        if not state or state == "open" then
            nodes[#nodes + 1] = { kind = "error", text = "invalid capture index %" .. k }
            return #p + 1
        end
        nodes[#nodes + 1] = { kind = state == "position" and "never" or "back", index = k }
        return i + 2
    end
    return add_item(nodes, p, i)
end

local function add_parenthesis(nodes, captures, p, i)
    if byte(p, i) == 40 then
        local k = #captures + 1
        if k > MAX_CAPTURES then
            nodes[#nodes + 1] = { kind = "error", text = "too many captures" }
            return #p + 1
        end
        local position = byte(p, i + 1) == 41
        captures[k] = position and "position" or "open"
        nodes[#nodes + 1] = { kind = position and "position" or "open", index = k }
        return position and i + 2 or i + 1
    end
    for k = #captures, 1, -1 do
        if captures[k] == "open" then
            captures[k] = "closed"
            nodes[#nodes + 1] = { kind = "close", index = k }
            return i + 1
        end
    end
    nodes[#nodes + 1] = { kind = "error", text = "invalid pattern capture" }
    return #p + 1
end

local function parse(p, i)
    local nodes, captures = {}, {}
    while i <= #p do
        local c = byte(p, i)
        if c == 40 or c == 41 then
            i = add_parenthesis(nodes, captures, p, i)
        elseif c == 36 and i == #p then
            nodes[#nodes + 1] = { kind = "finish" }
            i = i + 1
        elseif c == 37 then
            i = add_escape(nodes, captures, p, i)
        else
            i = add_item(nodes, p, i)
        end
        if nodes[#nodes].kind == "error" then break end
    end
    return nodes, captures
end

-- What can stand first where node `i` and those after it match: a set of bytes and END, or nil where unknown.
local TRANSPARENT = { open = true, close = true, position = true }
local function first_set(node, after)
    local kind = node.kind
    if TRANSPARENT[kind] then return after end
    if kind == "literal" then return { [byte(node.text)] = true } end
    if kind == "one" or kind == "plus" then return node.set end
    if kind == "star" or kind == "opt" or kind == "lazy" then return after and union(node.set, after) end
    if kind == "balance" then return { [node.open] = true } end
    if kind == "finish" then return { [END] = true } end
    if kind == "never" then return {} end
    if kind == "frontier" then
        local set = union(node.set, {})
        if set[0] then set[END] = true end
        return set
    end
    return nil -- back, error
end

local CANNOT_FAIL = { star = true, opt = true, lazy = true, open = true, close = true, position = true }

-- Sets on each node: set; after, first = first sets behind and from it; alone = what follows cannot begin inside its
-- run; sure_after = what follows succeeds at once, in linear time; wins_after = what follows succeeds.
local function analyse(nodes)
    local after, sure = nil, true -- at the end of the pattern anything may stand
    local wins, empty = true, true -- empty: matches nothing at the end of the subject
    for i = #nodes, 1, -1 do
        local node = nodes[i]
        if node.item then node.set = set_of(node.item) end
        node.after, node.sure_after, node.wins_after = after, sure, wins
        node.alone = after ~= nil and node.set ~= nil and disjoint(node.set, after)
        after = first_set(node, after)
        node.first = after
        local kind = node.kind
        local passes = CANNOT_FAIL[kind] == true
        sure = sure and passes
        wins = wins and passes or (node.item == "." and (kind == "star" or kind == "lazy") and empty)
        empty = empty and (passes or kind == "finish")
    end
end

-- Costs ------------------------------------------------------------------------------------------------------
-- Upper bound of C's steps for a subject of `n` bytes.
local function attempt_cost(nodes, i, n)
    local node = nodes[i]
    if not node then return 1 end
    local rest = attempt_cost(nodes, i + 1, n)
    local kind, weight = node.kind, node.item and #node.item // 4 + 1 or 1
    if kind == "star" or kind == "plus" then
        if node.alone or node.wins_after then return 2 * n * weight + rest end
        return n * (weight + rest)
    end
    if kind == "lazy" then
        if node.alone or node.wins_after then return n * weight + rest end
        return n * (weight + rest)
    end
    if kind == "opt" then return weight + 2 * rest end
    if kind == "balance" or kind == "back" then return n + rest end
    if kind == "literal" then return #node.text + rest end
    return weight + rest
end

local function total_cost(program, n)
    n = n + 1.0
    if program.sure then return n * (#program.nodes + 4) end
    local cost = attempt_cost(program.nodes, 1, n)
    return program.anchored and cost or n * cost
end

-- The largest subject for which C stays below `limit`.
local function largest(program, limit)
    local low, high = -1, LIMIT
    while low < high do
        local middle = (low + high + 1) // 2
        if total_cost(program, middle) <= limit then low = middle else high = middle - 1 end
    end
    return low
end

-- The matcher --------------------------------------------------------------------------------------------------
-- A closure per node: match(state, i) -> position after the match, or false. state: s, n, k (steps), [j] and [-j] =
-- first position and position after capture j.
local function spend(state)
    local k = state.k
    state.k = 0
    K.tick_check(k * state.weight)
end

local function run_end(s, run, set, i) -- last position of the run of `set` that begins at i, or i - 1
    if not set[byte(s, i)] then return i - 1 end
    local _, e = raw_find(s, run, i)
    return e
end

local function greedy(node, follow, least)
    local set, run, after = node.set, "^" .. node.item .. "*", node.after
    local single = node.alone or node.wins_after
    return function(state, i)
        local s = state.s
        local e = run_end(s, run, set, i)
        state.run = e
        state.k = state.k + 1 + ((e - i) // 32)
        if e < i + least - 1 then return false end
        if single then return follow(state, e + 1) end
        for j = e + 1, i + least, -1 do
            if not after or after[byte(s, j) or END] then
                local r = follow(state, j)
                if r then return r end
            end
            local k = state.k + 1
            state.k = k
            if k > BATCH then spend(state) end
        end
        return false
    end
end

local function lazy_step(node, follow)
    local set, after = node.set, node.after
    return function(state, i)
        local s = state.s
        while true do
            local b = byte(s, i)
            if not after or after[b or END] then
                local r = follow(state, i)
                if r then return r end
            end
            if not set[b] then return false end
            i = i + 1
            local k = state.k + 1
            state.k = k
            if k > BATCH then spend(state) end
        end
    end
end

-- `X-` before something C can look for: only the places where it stands are tried.
local function lazy_seek(node, follow, target, plain)
    local set, run = node.set, "^" .. node.item .. "*"
    return function(state, i)
        local s = state.s
        local e = run_end(s, run, set, i)
        state.k = state.k + 1 + ((e - i) // 32)
        while true do
            local j = raw_find(s, target, i, plain)
            state.k = state.k + 1 + (((j or state.n) - i) // 32)
            if not j or j > e + 1 then return false end
            local r = follow(state, j)
            if r then return r end
            i = j + 1
            if state.k > BATCH then spend(state) end
        end
    end
end

local build = {}
function build.literal(node, follow)
    local text, width = node.text, #node.text
    local b = byte(text)
    if width == 1 then
        return function(state, i)
            if byte(state.s, i) ~= b then return false end
            return follow(state, i + 1)
        end
    end
    return function(state, i)
        if byte(state.s, i) ~= b or sub(state.s, i, i + width - 1) ~= text then return false end
        return follow(state, i + width)
    end
end
function build.one(node, follow)
    local set = node.set
    return function(state, i)
        if not set[byte(state.s, i)] then return false end
        return follow(state, i + 1)
    end
end
function build.star(node, follow) return greedy(node, follow, 0) end
function build.plus(node, follow) return greedy(node, follow, 1) end
function build.lazy(node, follow, after)
    while after and TRANSPARENT[after.kind] do after = after.next end
    if after and after.kind == "literal" then
        return lazy_seek(node, follow, #after.text <= 32 and after.text or sub(after.text, 1, 1), true)
    end
    if after and (after.kind == "one" or after.kind == "plus") then
        return lazy_seek(node, follow, after.item, false)
    end
    return lazy_step(node, follow)
end
function build.opt(node, follow)
    local set = node.set
    return function(state, i)
        state.k = state.k + 1
        if set[byte(state.s, i)] then
            local r = follow(state, i + 1)
            if r then return r end
        end
        return follow(state, i)
    end
end
function build.open(node, follow)
    local k = node.index
    return function(state, i)
        state[k] = i
        return follow(state, i)
    end
end
function build.position(node, follow)
    local k = node.index
    return function(state, i)
        state[k] = i
        return follow(state, i)
    end
end
function build.close(node, follow)
    local k = -node.index
    return function(state, i)
        state[k] = i
        return follow(state, i)
    end
end
function build.back(node, follow)
    local k = node.index
    return function(state, i)
        local first, after = state[k], state[-k]
        local width = after - first
        if width == 0 then return follow(state, i) end
        local s = state.s
        if i + width - 1 > state.n or byte(s, i) ~= byte(s, first) then return false end
        state.k = state.k + (width >> 4)
        if sub(s, i, i + width - 1) ~= sub(s, first, after - 1) then return false end
        return follow(state, i + width)
    end
end
function build.balance(node, follow)
    local open, close = node.open, node.close
    local either = "[" .. escape(char(open)) .. escape(char(close)) .. "]"
    return function(state, i)
        local s = state.s
        if byte(s, i) ~= open then return false end
        local depth, j = 1, i
        while true do
            local at = raw_find(s, either, j + 1)
            local k = state.k + 1 + (((at or state.n) - j) // 32)
            state.k = k
            if not at then return false end
            j = at
            if byte(s, j) == close then
                depth = depth - 1
                if depth == 0 then return follow(state, j + 1) end
            else
                depth = depth + 1
            end
            if k > BATCH then spend(state) end
        end
    end
end
function build.frontier(node, follow)
    local set = node.set
    return function(state, i)
        local s = state.s
        if set[i > 1 and byte(s, i - 1) or 0] or not set[byte(s, i) or 0] then return false end
        return follow(state, i)
    end
end
function build.finish(_, follow)
    return function(state, i)
        if i ~= state.n + 1 then return false end
        return follow(state, i)
    end
end
function build.never()
    return function() return false end
end
build["error"] = function(node)
    local text = node.text
    return function() error(text, 0) end
end

local function accept(_, i) return i end

-- What allows the search to skip start positions.
local function plan_search(program)
    local nodes, back = program.nodes, false
    for _, node in next, nodes do back = back or node.kind == "back" end
    local lead = nodes[1]
    while lead and TRANSPARENT[lead.kind] do lead = lead.next end
    if not lead then return end
    program.first = nodes[1].first
    if lead.kind == "literal" then
        program.target, program.plain = #lead.text <= 32 and lead.text or sub(lead.text, 1, 1), true
    elseif lead.kind == "one" or lead.kind == "plus" then
        program.target, program.plain = lead.item, false
    elseif lead.kind == "balance" then
        program.target, program.plain = char(lead.open), true
    end
    if back then return end
    local kind = lead.kind
    if kind == "star" or kind == "plus" or kind == "lazy" then
        -- `.*` and the like have tried every later start already
        program.once = lead.item == "."
        if lead.alone and kind ~= "lazy" then program.leap = kind == "star" and 2 or 1 end
    end
end

local function describe(program, p, from)
    local nodes, captures = parse(p, from)
    program.nodes, program.captures = nodes, captures
    local depth, bad, weight = 0, false, 1
    for i, node in next, nodes do
        local kind = node.kind
        if kind ~= "literal" and kind ~= "one" then depth = depth + 1 end
        if kind == "error" then bad = true end
        if depth > MAX_DEPTH and not bad then
            nodes[i], bad = { kind = "error", text = "pattern too complex" }, true
        end
        weight = weight + 1
    end
    for _, state in next, captures do bad = bad or state == "open" end
    program.bad, program.weight = bad, 1 + (weight >> 3)
    analyse(nodes)
    local lead = nodes[1]
    program.sure = lead ~= nil and lead.sure_after and not (lead.kind == "literal" and #lead.text > 64)
        and (lead.set ~= nil or lead.kind == "literal")
    local follow = accept
    for i = #nodes, 1, -1 do
        nodes[i].next = nodes[i + 1]
        follow = build[nodes[i].kind](nodes[i], follow, nodes[i + 1])
    end
    program.run = follow
    plan_search(program)
end

local function compile(p, from, anchored)
    local program = { anchored = anchored, captures = {} }
    if #p > MAX_PATTERN then
        program.bad, program.nmax, program.watch, program.weight = true, -1, -1, 1
        program.run = function() error("pattern too complex: more than " .. MAX_PATTERN .. " bytes", 0) end
        return program
    end
    describe(program, p, from)
    if program.bad or #program.nodes > MAX_NODES then
        program.nmax, program.watch = -1, -1
    elseif program.sure then
        program.nmax, program.watch = LIMIT * 16, 4096
    else
        program.nmax, program.watch = largest(program, C_STEPS), largest(program, C_STEPS // 20)
    end
    return program
end

-- What was compiled for one serves all, except where each is to be charged as if it were alone (K.apart).
local function cached(compile_one)
    local programs, count = {}, 0
    local own = setmetatable({}, { __mode = "k" })
    local function alone(p)
        local me = K.current() or own
        local mine = own[me]
        if not mine or mine.count >= 512 then
            mine = { count = 0, programs = {} }
            own[me] = mine
        end
        local program = mine.programs[p]
        if not program then
            program = compile_one(p)
            mine.count = mine.count + 1
            mine.programs[p] = program
        end
        return program
    end
    return function(p)
        if K.apart then return alone(p) end
        local program = programs[p]
        if program then return program end
        program = compile_one(p)
        if #p <= 512 then
            if count >= 512 then programs, count = {}, 0 end
            programs[p], count = program, count + 1
        end
        return program
    end
end

local PLAIN = { plain_text = true, nmax = -1, captures = {} }
local program_of = cached(function(p)
    if not raw_find(p, "[%^%$%*%+%?%.%(%)%[%%%-]") then return PLAIN end
    local anchored = byte(p) == 94
    K.tick_check(50)
    return compile(p, anchored and 2 or 1, anchored)
end)
local iterator_of = cached(function(p) -- gmatch knows no anchor
    K.tick_check(50)
    return compile(p, 1, false)
end)

-- Searching --------------------------------------------------------------------------------------------------
-- C's plain search compares up to #s * #p bytes: long subjects are searched piece by piece.
local function find_plain(s, p, i)
    local n, m = #s, #p
    if m < 2 or n * m <= 50000000 then
        charge(n)
        return raw_find(s, p, i, true)
    end
    if i > n + 1 then return nil end
    local step = 50000000 // m + 1
    while i + m - 1 <= n do
        local a = raw_find(sub(s, i, i + step + m - 2), p, 1, true)
        if a then return i + a - 1, i + a + m - 2 end
        i = i + step
        K.tick_check(20000)
    end
    return nil
end

local function new_state(program, s)
    return { s = s, n = #s, k = 0, run = 0, weight = program.weight }
end

-- The first start at or after `i` that can lead to a match; nil when there is none.
local function next_start(program, state, i)
    local s = state.s
    local target = program.target
    if target then
        local j = raw_find(s, target, i, program.plain)
        state.k = state.k + (((j or state.n) - i) // 32)
        return j
    end
    local first = program.first
    if not first then return i end
    local n = state.n
    while not first[byte(s, i) or END] do
        i = i + 1
        if i > n + 1 then return nil end
        local k = state.k + 1
        state.k = k
        if k > BATCH then spend(state) end
    end
    return i
end

-- First match at or after `i` that does not end at `last`: its start and the position after it.
local function search(program, state, i, last)
    local match, n, anchored = program.run, state.n, program.anchored
    while i <= n + 1 do
        if not anchored then
            i = next_start(program, state, i)
            if not i then break end
        end
        state.k = state.k + 1
        local e = match(state, i)
        if state.k > BATCH then spend(state) end
        if e and e ~= last then return i, e end
        if anchored or (not e and program.once) then break end
        if not e and program.leap then
            local j = state.run + program.leap
            i = j > i and j or i + 1
        else
            i = i + 1
        end
    end
    return nil
end

local function capture(program, state, k, a, e)
    local kind = program.captures[k]
    if kind == nil then
        if k ~= 1 then error("invalid capture index %" .. k, 0) end
        return sub(state.s, a, e - 1)
    end
    if kind == "position" then return state[k] end
    if kind == "open" then error("unfinished capture", 0) end
    return sub(state.s, state[k], state[-k] - 1)
end

-- All captures; the whole match where the pattern has none and `whole` is set.
local function captures_of(program, state, a, e, whole)
    local count = #program.captures
    if count == 0 then
        if whole then return sub(state.s, a, e - 1) end
        return
    end
    if count == 1 then return capture(program, state, 1, a, e) end
    local list = {}
    for k = 1, count do list[k] = capture(program, state, k, a, e) end
    return unpack(list, 1, count)
end

local function found(program, s, init, whole)
    local state = new_state(program, s)
    local a, e = search(program, state, init)
    K.tick_check(state.k)
    if not a then return nil end
    if whole then return captures_of(program, state, a, e, true) end
    return a, e - 1, captures_of(program, state, a, e, false)
end

-- Called as a tail call by the library function, so that its caller is at level 2.
local function rethrow(ok, ...)
    if ok then return ... end
    local problem = ...
    error(problem, type(problem) == "string" and problem ~= "not enough memory" and 2 or 0)
end

local function start_of(init, n)
    if init > 0 then return init end
    if init == 0 then return 1 end
    return init < -n and 1 or n + init + 1
end

-- Malformed patterns fail where C would; their errors get the caller's position.
local function searched(program, s, init, whole)
    init = start_of(init, #s)
    if init > #s + 1 then return nil end
    return found(program, s, init, whole)
end

local P = {}

function P.find(s, p, init, plain)
    if type(s) ~= "string" then s = check_text(s, 1, "find") end
    if type(p) ~= "string" then p = check_text(p, 2, "find") end
    if init == nil then init = 1 elseif math_type(init) ~= "integer" then init = check_int(init, 3, "find") end
    local n = #s
    if plain then return find_plain(s, p, start_of(init, n)) end
    local program = program_of(p)
    if n <= program.nmax then
        if n > program.watch then K.tick_check(256 + (n >> 6)) end
        return raw_find(s, p, init)
    end
    if program.plain_text then return find_plain(s, p, start_of(init, n)) end
    if program.bad then
        -- C takes a pattern whose only magic is a `)` for plain text, here only
        if not raw_find(p, "[%^%$%*%+%?%.%(%[%%%-]") then return find_plain(s, p, start_of(init, n)) end
        return rethrow(pcall(searched, program, s, init, false))
    end
    return searched(program, s, init, false)
end

function P.match(s, p, init)
    if type(s) ~= "string" then s = check_text(s, 1, "match") end
    if type(p) ~= "string" then p = check_text(p, 2, "match") end
    if init == nil then init = 1 elseif math_type(init) ~= "integer" then init = check_int(init, 3, "match") end
    local n = #s
    local program = program_of(p)
    if n <= program.nmax then
        if n > program.watch then K.tick_check(256 + (n >> 6)) end
        return raw_match(s, p, init)
    end
    if program.plain_text then
        if find_plain(s, p, start_of(init, n)) then return p end
        return nil
    end
    if program.bad then return rethrow(pcall(searched, program, s, init, true)) end
    return searched(program, s, init, true)
end

function P.gmatch(s, p, init)
    s, p = check_text(s, 1, "gmatch"), check_text(p, 2, "gmatch")
    local n = #s
    init = start_of(check_int(init, 3, "gmatch", 1), n)
    local program = iterator_of(p)
    if n <= program.nmax then
        if n > program.watch then K.tick_check(256 + (n >> 6)) end
        return raw_gmatch(s, p, init)
    end
    local state, at, last = new_state(program, s), init, nil
    local function step()
        local a, e = search(program, state, at, last)
        if not a then
            at = n + 2
            return nil
        end
        at, last = e, e
        return captures_of(program, state, a, e, true)
    end
    if program.bad then return function() return rethrow(pcall(step)) end end
    return step
end

-- gsub -----------------------------------------------------------------------------------------------------------
-- The replacement text as a list of texts and capture numbers (0 = the whole match), or nil and what is wrong.
local function parse_replacement(r)
    local parts, i = {}, 1
    while true do
        local j = raw_find(r, "%", i, true)
        if not j then break end
        if j > i then parts[#parts + 1] = sub(r, i, j - 1) end
        local c = byte(r, j + 1)
        if c == 37 then
            parts[#parts + 1] = "%"
        elseif c and c >= 48 and c <= 57 then
            parts[#parts + 1] = c - 48
        else
            parts.problem = "invalid use of '%' in replacement string"
            return parts
        end
        i = j + 2
    end
    if i <= #r then parts[#parts + 1] = sub(r, i) end
    return parts
end

-- One way to ask for matches, whoever finds them: next(i, last) -> start, position after, and get(k) for captures.
local function by_search(program, s)
    local state = new_state(program, s)
    local a, e
    local function step(i, last)
        a, e = search(program, state, i, last)
        return a, e
    end
    local function get(k)
        if k == 0 then return sub(s, a, e - 1) end
        return capture(program, state, k, a, e)
    end
    return step, get, function() return captures_of(program, state, a, e, true) end
end

local function by_c(program, s, p)
    local r, count
    local n = #s
    local function step(i, last)
        repeat
            r = { raw_find(s, p, i) }
            local a = r[1]
            if not a then return nil end
            local e = r[2] + 1
            if e ~= last then return a, e end
            i = i + 1 -- an empty match where the last one ended
        until i > n + 1 or program.anchored
        return nil
    end
    count = #program.captures
    local function get(k)
        if k == 0 or count == 0 then return sub(s, r[1], r[2]) end
        return r[k + 2]
    end
    return step, get, function()
        if count == 0 then return sub(s, r[1], r[2]) end
        return unpack(r, 3, count + 2)
    end
end

local function replacer(repl, kind, program, get, all)
    if kind == "string" then
        local parts = parse_replacement(repl)
        return function(out, o)
            for i = 1, #parts do
                local v = parts[i]
                if type(v) == "number" then
                    if v > 1 and not program.captures[v] then
                        error("invalid capture index %" .. v, 0)
                    end
                    v = get(v)
                    if type(v) == "number" then v = tostring(v) end
                end
                out[o + i] = v
            end
            if parts.problem then error(parts.problem, 0) end
            return o + #parts
        end
    end
    return function(out, o)
        local v
        if kind == "table" then v = repl[get(1)] else v = repl(all()) end
        if not v then
            v = get(0)
        elseif type(v) == "number" then
            v = N.text(v)
        elseif type(v) ~= "string" then
            error("invalid replacement value (a " .. typeof(v) .. ")", 0)
        end
        out[o + 1] = v
        return o + 1
    end
end

local function substitute(program, s, p, repl, kind, limit)
    local step, get, all
    if #s <= program.nmax then step, get, all = by_c(program, s, p) else step, get, all = by_search(program, s) end
    local add = replacer(repl, kind, program, get, all)
    local out, o, size, count, from, at, last = {}, 0, 0, 0, 1, 1, nil
    while count < limit do
        local a, e = step(at, last)
        if not a then break end
        count = count + 1
        local before = o
        if a > from then
            o = o + 1
            out[o] = sub(s, from, a - 1)
        end
        o = add(out, o)
        for i = before + 1, o do size = size + #out[i] end
        if size > LIMIT then error("resulting string too large: the limit is " .. LIMIT .. " bytes", 0) end
        from, at, last = e, e, e
        if count & 255 == 0 then K.tick_check(512) end
        if program.anchored then break end
    end
    if count == 0 then return s, 0 end
    out[o + 1] = sub(s, from)
    return concat(out), count
end

-- Whether C may do it: its steps and the size of its result are bounded.
local function fits_c(program, s, repl, limit)
    local n = #s
    if n > program.nmax then return false end
    if not raw_find(repl, "%", 1, true) then return (n + 1) * #repl + n <= LIMIT end
    local parts = parse_replacement(repl)
    if parts.problem then return false end
    for i = 1, #parts do
        local k = parts[i]
        if type(k) == "number" and k > 1 and not program.captures[k] then return false end
    end
    return limit >= 0 and (n + 1) * (#repl * 10) + n * (#parts + 1) <= LIMIT
end

local PLAIN_GSUB = cached(function(p) return compile(p, 1, false) end)

function P.gsub(s, p, repl, limit)
    if type(s) ~= "string" then s = check_text(s, 1, "gsub") end
    if type(p) ~= "string" then p = check_text(p, 2, "gsub") end
    local kind = typeof(repl)
    if kind == "number" then repl, kind = N.text(repl), "string" end
    if kind ~= "string" and kind ~= "table" and kind ~= "function" then
        N.fail(3, "gsub", "string/function/table expected, got " .. (repl == nil and "nil" or kind), 3)
    end
    limit = limit == nil and #s + 1 or check_int(limit, 4, "gsub")
    local program = program_of(p)
    if program == PLAIN then program = PLAIN_GSUB(p) end
    if #s > program.watch then K.tick_check(256 + (#s >> 6)) end
    if kind == "string" and fits_c(program, s, repl, limit) then return raw_gsub(s, p, repl, limit) end
    if kind == "string" or program.bad then return rethrow(pcall(substitute, program, s, p, repl, kind, limit)) end
    return substitute(program, s, p, repl, kind, limit)
end

K.pattern = P
K.pattern_test = { compile = compile, found = found, substitute = substitute, search = search,
    captures_of = captures_of, new_state = new_state }
return P
