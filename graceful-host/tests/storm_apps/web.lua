-- The pages, and a ticker that is kept over all reloads.
local events = require('events')
local fiber = require('fiber')
local graceful = require('graceful')
local http = require('http')
local counter = require('counter')
local label = require('label')

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
http.route('GET', '/label', function() return label.first() .. ' ' .. label.second() end)
http.route('GET', '/count', function() return tostring(counter.count()) end)
http.route('GET', '/seen', function() return tostring(counter.seen()) end)
http.route('GET', '/events', function() return { events = 'ticks' } end)
