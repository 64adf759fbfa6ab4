-- Goes on with the collector for a moment, and leaves it alone in between.
local collectgarbage, kept = ...

-- How much work one step does, in the collector's own unit; with its own it keeps the VM for up to a millisecond.
local SHORT = 10
-- How many KiB may be allocated before it goes on by itself. Its own pace would make whoever allocates next pay.
local CREDIT = 8192

local collector = {}

-- One short step; whether it ended a cycle.
function collector.step()
    -- Before it frees, the collector looks for the newest object that is in use, and does that in one go: after a
    -- reload all the newest ones may be garbage.
    kept[1] = {}
    local before = collectgarbage('setstepmul', SHORT)
    local ended = collectgarbage('step', 0)
    collectgarbage('setstepmul', before)
    collectgarbage('step', -CREDIT)
    return ended
end

-- It works again, though not at once.
function collector.wake()
    collectgarbage('restart')
    collectgarbage('step', -CREDIT)
end

return collector
