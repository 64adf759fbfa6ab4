-- What `require('graceful')` gives for asking the engine.
local situation, reload, queue, plan, unregister, isyieldable = ...
local error, setmetatable = error, setmetatable

local Failure = { __tostring = function(failure) return failure.code .. ': ' .. failure.message end }

-- A refusal or a failure is thrown: a table with `code`, `message`, `module`, `phase`.
local function checked(result, failure)
    if failure then error(setmetatable(failure, Failure)) end
    return result
end

local api = {}

function api.reload(opts)
    local where = situation()
    if where == 'stage' then return true end
    if where == 'hook' then
        checked(nil, { code = 'GR0116', message = 'reload was called inside a hook; the running reload goes on' })
    end
    if isyieldable() then return checked(reload(opts)) end
    queue(opts)
    return { queued = true }
end

function api.plan(opts)
    if not isyieldable() then error('plan() waits, and nothing can wait here', 2) end
    return checked(plan(opts))
end

function api.unregister_module(name, opts)
    if not isyieldable() then error('unregister_module() waits, and nothing can wait here', 2) end
    return checked(unregister(name, opts))
end

return api
