-- What the shop sells, and how often somebody asked for a price.
local graceful = require('graceful')

local catalog = graceful.register_module('catalog', {
    version = graceful.semver(1, 0, 0),
    init = function(mod)
        mod.state.hits = 0
        mod.state.items = { tea = 420, coffee = 650, cup = 900 }
    end,
    before_reload = function(mod)
        mod.state.came_from = mod.version
    end,
    after_reload = function(mod)
        -- What an older version left behind is brought into this version's form here.
        if tostring(mod.state.came_from) ~= tostring(mod.version) then
            mod.state.items.cup = mod.state.items.cup or 900
        end
        mod.state.came_from = nil
    end,
})

local M = {}

--- The base price of an item in cents, or nil.
function M.price(item)
    return catalog.state.items[item]
end

--- Counts one question.
function M.hit()
    catalog.state.hits = catalog.state.hits + 1
end

--- How many questions there were, over all reloads.
function M.hits()
    return catalog.state.hits
end

return M
