-- Counts, in a state that hooks and migrations work on: copied, drained and frozen at each reload of it.
local graceful = require('graceful')
@TOP@
local counter = graceful.register_module('counter', {
    version = '@NEW@.0.0',
    init = function(mod)
        mod.state.count, mod.state.form = 0, @NEW@
    end,
    before_reload = function(mod)
        mod.state.inside = true
    end,
    after_reload = function(mod)
        @HOOK@
        mod.state.inside = nil
    end,
    migrations = {
        {
            from = '@OLD@.0.0',
            to = '@NEW@.0.0',
            up = function(state)
                state.form = @NEW@
                @MIGRATION@
            end,
        },
    },
})
local M = {}
function M.count()
    local state = counter.state
    if state.inside or state.form ~= @NEW@ then error('a call saw a reload half done') end
    state.count = state.count + 1
    return state.count
end
function M.seen()
    return counter.state.count
end
return M
