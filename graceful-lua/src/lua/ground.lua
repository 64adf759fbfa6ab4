-- What every script of this VM stands on: `require` that knows who asks, coroutines that can wait for native
-- code, message handlers that end, and no way to end the host.
local globals, package, coroutine, os, asking, locate, over, pending, resume, wait = ...
local error, tostring, rawset = error, tostring, rawset
local getmetatable, setmetatable = getmetatable, setmetatable
local create, yield, close = coroutine.create, coroutine.yield, coroutine.close
local isyieldable = coroutine.isyieldable
resume = resume or coroutine.resume
wait = wait or function(_, marker) return yield(marker) end

-- A coroutine of the script that waits for native code gives out mlua's marker: it is passed on to whoever
-- drives the outermost coroutine, and what comes back is passed down.
local function pass(co, ok, first, ...)
    if first == pending and ok then
        if not isyieldable() then
            error('attempt to wait for native code in a coroutine that is resumed where nothing can wait', 0)
        end
        return pass(co, resume(co, wait(co, first)))
    end
    return ok, first, ...
end

coroutine.resume = function(co, ...)
    return pass(co, resume(co, ...))
end

local function unwrap(co, ok, first, ...)
    if ok then return first, ... end
    if close then close(co) end
    error(first, 0)
end

coroutine.wrap = function(body)
    local co = create(body)
    return function(...)
        return unwrap(co, pass(co, resume(co, ...)))
    end
end

-- What ends code at its time throws out of a hook, and Lua calls the message handler in there, where no hook could
-- end it: then it is not called at all.
local xpcall, type = globals.xpcall, type
if xpcall then
    local debug = globals.debug
    local traceback = debug and debug.traceback
    rawset(globals, 'xpcall', function(f, handle, ...)
        if type(handle) ~= 'function' or handle == traceback then return xpcall(f, handle, ...) end
        return xpcall(f, function(...)
            if over() then return ... end
            return handle(...)
        end, ...)
    end)
end

-- For code that has no `require` of its own: what `load` made, the console.
local before = globals.require
local function require(name)
    local own = asking()
    if own then return own(name) end
    if before then return before(name) end
    error("require('" .. tostring(name) .. "') outside of a module", 2)
end
rawset(globals, 'require', require)

if package and package.loaded and getmetatable(package.loaded) == nil then
    setmetatable(package.loaded, { __index = function(_, name) return locate(name) end })
end

if os then
    os.exit = function()
        error('os.exit would end the host and is not there for scripts', 2)
    end
end

return require
