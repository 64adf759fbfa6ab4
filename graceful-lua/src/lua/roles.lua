-- What `require('graceful.roles')` gives. No function of it throws: it returns what it is about, or nothing and an
-- error.
local ask, wait, queue, cannot_wait, names, isyieldable = ...
local ipairs, select = ipairs, select

-- For one module: `from` tells who it is, `require` is its own, if it has one.
return function(from, require)
    local roles = {}
    for _, name in ipairs(names) do
        roles[name] = function(...)
            if (...) == roles then return roles[name](select(2, ...)) end
            local pending, answer, failure = ask(from, name, ...)
            if failure then return nil, failure end
            if not pending then return answer end
            if isyieldable() then return wait(pending) end
            if name == 'reload' then return queue(pending) end
            return nil, cannot_wait(name)
        end
    end
    local find = roles.service_get
    function roles.service_get(role)
        local module, failure = find(role)
        if failure then return nil, failure end
        return module and require(module)
    end
    return roles
end
