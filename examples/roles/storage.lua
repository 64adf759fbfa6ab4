-- Hidden: nobody enables it, it runs when it is depended on. What it stores is kept over every reload.
local graceful = require('graceful')

local me = graceful.register_module('storage', {
    version = '1.0.0',
    init = function(mod)
        mod.state.items = { tea = 420, cake = 310 }
        mod.state.sold = 0
    end,
})

return {
    hidden = true,
    init = function() end,
    stop = function() end,
    cents = function(item) return me.state.items[item] or 0 end,
    sold = function() return me.state.sold end,
    sell = function() me.state.sold = me.state.sold + 1 end,
}
