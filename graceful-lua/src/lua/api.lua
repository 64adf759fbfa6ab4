-- What `require('graceful')` gives to one module: functions that know who calls, and those of everybody. All names are
-- written out, so that the table has its size from the start: nearly every module takes one.
local register, own, class, control, semver = ...
local reload, unregister_module, plan = control.reload, control.unregister_module, control.plan
local modules, shutdown = control.modules, control.shutdown

return function(record)
    return {
        register_module = register(record),
        own = function(key, value, release) return own(record, key, value, release) end,
        class = function(name) return class(record, name) end,
        reload = reload,
        unregister_module = unregister_module,
        plan = plan,
        modules = modules,
        shutdown = shutdown,
        semver = semver,
    }
end
