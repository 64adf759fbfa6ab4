-- Migrations of states: deep copies for the steps to work on, and pouring what comes of them into the state.
local getmeta, setmeta = ...
local next, rawget, rawset, rawequal, type = next, rawget, rawset, rawequal, type

local function shallow(table)
    local into = {}
    for key, value in next, table do into[key] = value end
    return into
end

-- A copy of `state`: each table once, so that aliases and cycles stay inside of the copy; what refers to the state
-- itself goes on referring to it. Metatables are shared. What belongs to other modules or to all (`borders`), and
-- what has a finalizer, is not copied. Returns nil if there are more than `most` entries.
local function deep(state, borders, most)
    local copies, todo, last, total = { [state] = {} }, { state }, 1, 0
    local function copied(value)
        if type(value) ~= 'table' or rawequal(value, state) then return value end
        local copy = copies[value]
        if copy ~= nil then return copy end
        local meta = getmeta(value)
        if borders[value] or (meta ~= nil and rawget(meta, '__gc') ~= nil) then return value end
        copy = {}
        copies[value] = copy
        last = last + 1
        todo[last] = value
        return copy
    end
    while last > 0 do
        local table = todo[last]
        todo[last] = nil
        last = last - 1
        local copy, meta = copies[table], getmeta(table)
        for key, value in next, table do
            rawset(copy, copied(key), copied(value))
            total = total + 1
        end
        if total > most then return nil end
        if meta ~= nil then setmeta(copy, meta) end
    end
    return copies[state]
end

local migration = {}

-- `txn` has what is held back for the state of the record `who`, if a transaction is open.
function migration.draft(state, borders, most, txn, who)
    local now = deep(state, borders, most)
    if now == nil then return nil end
    return { now = now, was = shallow(now), state = state, txn = txn, held = txn and txn.states[who] }
end

function migration.recorded(now)
    return { now = now, was = {} }
end

-- What a step returned is the state from here on. Returns what is wrong with it.
function migration.took(draft, returned)
    if returned == nil then return nil end
    if type(returned) ~= 'table' then
        return 'a step returns the new state or nothing, got ' .. type(returned)
    end
    if rawequal(returned, draft.state) then
        return 'a step returns a new state or the copy that it got, not the live state'
    end
    draft.now = returned
end

-- Makes the state what the draft is, and returns what brings it back, as a checkpoint does. What a top level
-- wrote to an entry that the migration changed is forgotten; the rest waits for the commit, or is in the state
-- already, because new hooks ran.
function migration.pour(state, draft, who)
    local was, now, held = draft.was, draft.now, draft.held
    local before = { [state] = { entries = shallow(state), meta = getmeta(state) } }
    local keep = {}
    if held then
        local layer = held.layer
        local waits = rawequal(draft.txn.states[who], held)
        local function decide(key)
            if rawequal(was[key], rawget(now, key)) then
                if not waits then keep[key] = true end
            elseif waits then
                layer.set[key], layer.gone[key], layer.by[key] = nil, nil, nil
            end
        end
        for key in next, layer.set do decide(key) end
        for key in next, layer.gone do decide(key) end
    end
    for key in next, state do
        if not keep[key] then rawset(state, key, nil) end
    end
    for key, value in next, now do
        if not keep[key] then rawset(state, key, value) end
    end
    local meta = getmeta(now)
    if meta ~= nil and not rawequal(meta, getmeta(state)) then setmeta(state, meta) end
    return before
end

return migration
