-- Goes on with LuaJIT's collector for a moment, and puts it off while a reload is under way.
local collectgarbage, ceil = ...

local collector = {}

-- One short step; whether it ended a cycle.
function collector.step()
    return collectgarbage('step', 0)
end

-- It goes on by itself once so many KiB more are in use. LuaJIT has no collection of last resort: stopped, it would
-- let a top level fail at its limit for garbage. With -1 a restart counts from now, by the pause that is set.
function collector.rest(room)
    local used = collectgarbage('count')
    local before = collectgarbage('setpause', ceil((used + room) / used * 100))
    collectgarbage('restart', -1)
    collectgarbage('setpause', before)
end

-- What rests goes on by itself.
function collector.wake() end

return collector
