-- What a strict module has in place of the globals: the same, except that names nobody declared are errors.
local globals, assigns_at_top, behind = ...
local error, next, setmetatable, tostring = error, next, setmetatable, tostring

return function()
    local on, declared, seen = false, {}, nil
    local meta = { __metatable = false }

    function meta.__index(_, name)
        local value = globals[name]
        if value == nil and on and not declared[name] then
            error("variable '" .. tostring(name) .. "' is not declared", 2)
        end
        return value
    end

    function meta.__newindex(_, name, value)
        if on and not declared[name] and globals[name] == nil then
            if not assigns_at_top() then
                error("assign to undeclared variable '" .. tostring(name) .. "'", 2)
            end
            declared[name] = true
        end
        globals[name] = value
    end

    -- What iterates over the environment iterates over the globals.
    function meta.__pairs() return next, globals, nil end

    local strict = {}
    function strict.on()
        on = true
        seen = seen or setmetatable({}, meta)
        behind(seen)
    end
    function strict.off() on = false end
    return strict
end
