-- `register_module`: `init` runs here, in the coroutine of the top level, so that it may wait.
local begin, initialised = ...
local error = error

return function(record)
    return function(name, opts)
        local failed, mod, init = begin(record, name, opts)
        if failed then error(failed, 2) end
        if init then
            init(mod)
            initialised(record)
        end
        return mod
    end
end
