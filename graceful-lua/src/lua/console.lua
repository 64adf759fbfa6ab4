-- What a line in the console sees before the globals.
local globals, require, is_module, release, say = ...
local concat = table and table.concat
local error, ipairs, pairs, setmetatable, tostring = error, ipairs, pairs, setmetatable, tostring

local spoken = {}
function spoken.__tostring(report)
    local modules = {}
    for index, module in ipairs(report.modules) do
        local versions = module.new and (module.old or 'new') ~= module.new and (' ' .. (module.old or 'new') .. ' -> ' .. module.new) or ''
        modules[index] = module.action .. ' ' .. module.module .. versions .. ' (' .. module.reason .. ')'
    end
    local text = report.outcome .. ', generation ' .. report.generation
    return #modules > 0 and text .. ': ' .. concat(modules, ', ') or text
end

local console = { print = say }

-- A line that asks for a reload must not hold it up.
local function asking(ask)
    return function(...)
        release()
        return setmetatable(ask(...), spoken)
    end
end

local waiting = { 'cfg', 'validate_config', 'apply_config', 'reload', 'stop', 'wait_for' }

local function of_roles(roles)
    for _, name in ipairs(waiting) do
        local ask = roles[name]
        roles[name] = function(...)
            release()
            return ask(...)
        end
    end
    -- Here it gives the name of the module.
    local find = roles.service_get
    function roles.service_get(role)
        local module, failure = find(role)
        if failure then return nil, failure end
        return module and require(module)
    end
    return roles
end

function console.require(name)
    local value = require(name)
    if name ~= 'graceful' and name ~= 'graceful.roles' then return value end
    local own = {}
    for key, entry in pairs(value) do own[key] = entry end
    if name == 'graceful.roles' then return of_roles(own) end
    own.reload, own.unregister_module = asking(value.reload), asking(value.unregister_module)
    return own
end

-- The file of a module: what changed is reloaded, it and everything below it.
function console.dofile(path)
    if path and is_module(path) then return console.require('graceful').reload() end
    if not globals.dofile then error("'" .. tostring(path) .. "' is no module of this app", 2) end
    return globals.dofile(path)
end

return setmetatable(console, { __index = globals, __newindex = globals })
