-- Counts, in a state that a reload hook works on: it is copied, drained and frozen at each reload of its set.
local graceful = require('graceful')
local step = require('step')
local counter = graceful.register_module('counter', {
    version = '1.0.0',
    init = function(mod)
        mod.state.count, mod.state.reloads = 0, 0
    end,
    before_reload = function(mod)
        mod.state.inside = true
    end,
    after_reload = function(mod)
        mod.state.reloads = mod.state.reloads + 1
        -- the hook's end
        mod.state.inside = nil
    end,
})
local M = {}
function M.count()
    assert(not counter.state.inside, 'a call ran in the middle of a reload')
    counter.state.count = counter.state.count + step.step()
    return counter.state.count
end
function M.seen()
    return counter.state.count
end
return M
