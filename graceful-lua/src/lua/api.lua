-- What `require('graceful')` gives for asking the engine.
local situation, reload, queue, plan, unregister, isyieldable = ...
local error, setmetatable = error, setmetatable

local Failure = { __tostring = function(failure) return failure.code .. ': ' .. failure.message end }

local function failed(result, failure)
    if failure then return nil, setmetatable(failure, Failure) end
    return result
end

local api = {}

function api.reload(opts)
    local where = situation()
    if where == 'stage' then return true end
    if where == 'hook' then
        return failed(nil, { code = 'GR0116', message = 'reload was called inside a hook; the running reload goes on' })
    end
    if isyieldable() then return failed(reload(opts)) end
    queue(opts)
    return { queued = true }
end

function api.plan(opts)
    if not isyieldable() then error('plan() waits, and nothing can wait here', 2) end
    return failed(plan(opts))
end

function api.unregister_module(name, opts)
    if not isyieldable() then error('unregister_module() waits, and nothing can wait here', 2) end
    local result, failure = failed(unregister(name, opts))
    if failure then error(failure, 2) end
    return result
end

return api
