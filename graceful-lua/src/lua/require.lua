-- The `require` of one module: what it resolved for good is kept here, the rest is asked for each time.
local resolve, wait, isyieldable = ...
local error = error

local SETTLED, PINNED, WAIT = 1, 2, 3

-- Makes the Lua side of a record under its number `id`, and returns its `require` and it. `main` is its top level
-- if that is known already.
return function(record, records, id, state, main)
    local settled = {}
    local function require(name)
        local hit = settled[name]
        if hit ~= nil then return hit end
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
    -- With room for what comes, so that it need not grow.
    local own = { require = require, state = state, main = main, exports = nil }
    records[id] = own
    return require, own
end
