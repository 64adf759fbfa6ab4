-- What every script of this VM stands on: `require` that knows who asks, coroutines that can wait for native
-- code, message handlers that end, and no way to end the host.
local globals, package, coroutine, os, asking, locate, over, pending, resume, wait = ...
local error, tostring, type, rawset, select = error, tostring, type, rawset, select
local getmetatable, setmetatable = getmetatable, setmetatable
local create, yield, close = coroutine.create, coroutine.yield, coroutine.close
local isyieldable = coroutine.isyieldable
wait = wait or function(_, marker) return yield(marker) end

-- LuaJIT never looks how much is left of the thread's stack, of which it takes some for every coroutine that another
-- one resumes, and much for every function of C that calls back. Plain Lua has these limits by itself.
if not resume then
    local MOST = 200
    local depths, running, pcall = setmetatable({}, { __mode = 'k' }), coroutine.running, pcall
    local main = {}
    local function deeper(by)
        local co = running() or main
        local depth = (depths[co] or 0) + by
        return depth <= MOST and depth, co
    end
    local inner = coroutine.resume
    resume = function(co, ...)
        if type(co) ~= 'thread' then return inner(co, ...) end
        local depth = deeper(1)
        if not depth then return false, 'C stack overflow' end
        depths[co] = depth
        return inner(co, ...)
    end
    -- `at` is where what they call back is among the arguments.
    local function bounded(library, name, at)
        local raw = library and library[name]
        if not raw then return end
        local function back(co, depth, ok, ...)
            depths[co] = depth
            if ok then return ... end
            error((...), 0)
        end
        library[name] = function(...)
            if type((select(at, ...))) ~= 'function' then return raw(...) end
            local depth, co = deeper(2)
            if not depth then error('C stack overflow', 2) end
            depths[co] = depth
            return back(co, depth - 2, pcall(raw, ...))
        end
    end
    bounded(globals.string, 'gsub', 3)
    for name, at in pairs { sort = 2, foreach = 2, foreachi = 2 } do bounded(globals.table, name, at) end
end

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
local xpcall = globals.xpcall
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
