-- What `require('graceful')` gives to one module: functions that know who calls, and those of everybody.
local register, own, class, shared = ...
local next = next

return function(record)
    local api = {
        register_module = register(record),
        own = function(key, value, release) return own(record, key, value, release) end,
        class = function(name) return class(record, name) end,
    }
    for name, value in next, shared do api[name] = value end
    return api
end
