-- Copies a state so that it can be made the very same again: each table that is reached from it with a
-- shallow copy of it and its metatable. Identity, aliases and cycles need nothing more.
local getmeta, setmeta, is_foreign = ...
local next, rawget, rawset, rawequal, type = next, rawget, rawset, rawequal, type
local tostring = tostring

local function shallow(of)
    local into, count = {}, 0
    for key, value in next, of do
        into[key] = value
        count = count + 1
    end
    return into, count
end

-- The places of what no copy can bring back: a few of them, by name.
local function places(state, borders, is_foreign)
    local seen, todo, found = { [state] = true }, { { state, '' } }, {}
    while #todo > 0 do
        local at = todo[#todo]
        todo[#todo] = nil
        for key, value in next, at[1] do
            local kind = type(value)
            local name = (type(key) == 'string' or type(key) == 'number') and tostring(key) or '?'
            if kind == 'table' and not seen[value] and not borders[value] then
                seen[value] = true
                todo[#todo + 1] = { value, at[2] .. name .. '.' }
            elseif kind == 'userdata' and #found < 8 and is_foreign(value) then
                found[#found + 1] = at[2] .. name
            end
        end
    end
    return found
end

-- Follows tables only, and none in `borders`: those belong to other modules or to all. Returns the copies,
-- and where things were met that no copy can bring back; or nil if there are more than `most` entries.
local function copy(state, borders, most)
    local copies, todo, last, total, foreign = {}, { state }, 1, 0, false
    local function visit(value)
        local kind = type(value)
        if kind == 'table' then
            if copies[value] == nil and not borders[value] then
                copies[value] = true
                last = last + 1
                todo[last] = value
            end
        elseif kind == 'userdata' and not foreign then
            foreign = is_foreign(value)
        end
    end
    copies[state] = true
    while last > 0 do
        local table = todo[last]
        todo[last] = nil
        last = last - 1
        local entries, count = shallow(table)
        copies[table] = { entries = entries, meta = getmeta(table) }
        total = total + count
        if total > most then return nil end
        for key, value in next, entries do
            visit(key)
            visit(value)
        end
    end
    return copies, foreign and places(state, borders, is_foreign) or {}
end

local function restore(copies)
    for table, was in next, copies do
        local entries = was.entries
        for key, value in next, table do
            local before = entries[key]
            if not rawequal(before, value) then rawset(table, key, before) end
        end
        for key, value in next, entries do
            if rawget(table, key) == nil then rawset(table, key, value) end
        end
        if not rawequal(getmeta(table), was.meta) then setmeta(table, was.meta) end
    end
end

return copy, restore
