-- The pages, and a ticker that is kept over all reloads.
local counter = require('counter')
local events = require('events')
local fiber = require('fiber')
local graceful = require('graceful')
local http = require('http')
local leaf = require('leaf')
local left = require('left')
local right = require('right')
@TOP@
graceful.register_module('web', {
    version = '1.0.0',
    init = function(mod)
        mod.state.tick = 0
        mod.state.ticker = fiber.new(function(state)
            while true do
                fiber.sleep(0.01)
                state.tick = state.tick + 1
                events.publish('ticks', state.tick)
            end
        end, mod.state)
    end,
})
local function tag() return @TAG@ end
http.route('GET', '/tags', function()
    return table.concat({ tag(), left.tag(), right.tag(), left.leaf(), right.leaf(), leaf.tag() }, ' ')
end)
-- The same, with time for a reload in the middle of it.
http.route('GET', '/slow', function()
    local before = tag() .. ' ' .. left.tag()
    local first = left.leaf()
    fiber.sleep(0.002)
    return before .. ' ' .. right.tag() .. ' ' .. first .. ' ' .. right.leaf() .. ' ' .. leaf.tag()
end)
http.route('GET', '/count', function() return tostring(counter.count()) end)
http.route('GET', '/seen', function() return tostring(counter.seen()) end)
http.route('GET', '/events', function() return { events = 'ticks' } end)
