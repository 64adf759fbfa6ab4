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

function console.require(name)
    local value = require(name)
    if name ~= 'graceful' then return value end
    local own = {}
    for key, entry in pairs(value) do own[key] = entry end
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
