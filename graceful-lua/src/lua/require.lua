-- The `require` of one module: what it resolved for good is kept here, the rest is asked for each time.
local resolve, wait, isyieldable, knows, turn = ...
local error = error

local SETTLED, PINNED, WAIT = 1, 2, 3

-- Makes the Lua side of a record under its number `id`. Returns its `require`, it, and the state that it takes over
-- from the record `previous`. With `again` the top level of that is taken over, too.
return function(record, records, id, previous, again)
    local settled = {}
    local function require(name)
        local hit = settled[name]
        if hit ~= nil then return hit end
        -- What was staged before and is known to be required needs no asking.
        if turn.id == id and knows(turn.passage, name) then
            local staged = turn.fresh[name]
            if staged ~= nil then
                settled[name] = staged
                return staged
            end
        end
        local how, value = resolve(record, name)
        while how == WAIT do
            if not isyieldable() then error(value, 2) end
            local failed, instead = wait(record, name)
            if failed then error(failed, 2) end
            if instead ~= nil then
                settled[name] = instead
                return instead
            end
            how, value = resolve(record, name)
        end
        if how == SETTLED then
            settled[name] = value
        elseif how ~= PINNED then
            error(value, 2)
        end
        return value
    end
    local before = previous and records[previous]
    local state, main
    if before then state, main = before.state, again and before.main or nil end
    -- With room for what comes, so that it need not grow.
    local own = { require = require, state = state, main = main, exports = nil }
    records[id] = own
    return require, own, state
end
