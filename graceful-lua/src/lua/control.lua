-- What `require('graceful')` gives for asking the engine.
local where, reload, queue, plan, reading, removing, modules, refused, isyieldable, shutdown = ...
local error = error

-- A refusal or a failure is thrown: a table with `code`, `message`, `module`, `place`, `phase`.
local function checked(result, failure)
    if failure then error(failure) end
    return result
end

local function ask(asked)
    if isyieldable() then return checked(reload(asked)) end
    return queue(asked)
end

local control = { modules = modules, shutdown = shutdown }

function control.reload(options)
    local asked = reading(options)
    if where() == 'stage' then return true end
    if where() == 'hook' then error(refused()) end
    return ask(asked)
end

function control.unregister_module(name, options)
    local asked = removing(name, options)
    if where() then error(refused()) end
    return ask(asked)
end

function control.plan(options)
    local asked = reading(options)
    if not isyieldable() then error('plan() waits, and nothing can wait here', 2) end
    return checked(plan(asked))
end

return control
