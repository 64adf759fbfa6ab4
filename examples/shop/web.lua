-- The shop's pages, and a ticker that everybody at /events hears.
local config = require('config')
local events = require('events')
local fiber = require('fiber')
local graceful = require('graceful')
local http = require('http')

local catalog = require('catalog')
local pricing = require('pricing')

local function tick(state)
    while true do
        fiber.sleep(0.2)
        state.ticks = state.ticks + 1
        events.publish('ticks', { tick = state.ticks, hits = catalog.hits() })
    end
end

local function start_ticker(mod)
    mod.state.ticker = fiber.new(tick, mod.state)
end

graceful.register_module('web', {
    version = '1.0.0',
    init = function(mod)
        mod.state.ticks = 0
        start_ticker(mod)
    end,
    before_reload = function(mod)
        mod.state.came_from = mod.version
    end,
    after_reload = function(mod)
        -- The ticker is kept in the state, so it goes on running the code it began with. A new version of this
        -- module starts a new one; until the reload is through, the old one ticks on.
        if tostring(mod.state.came_from) ~= tostring(mod.version) then
            mod.state.ticker:cancel()
            start_ticker(mod)
        end
        mod.state.came_from = nil
    end,
    finalize = function(mod)
        mod.state.ticker:cancel()
    end,
})

http.route('GET', '/price/:item', function(request)
    catalog.hit()
    local base = catalog.price(request.params.item)
    if not base then
        return { status = 404, body = 'no such item: ' .. request.params.item }
    end
    local quantity = math.floor(tonumber(request.query.quantity or 1) or 0)
    if quantity < 1 then
        return { status = 400, body = 'how many?' }
    end
    local cents = pricing.total(base, quantity)
    return { item = request.params.item, quantity = quantity, cents = cents, currency = config.currency }
end)

http.route('GET', '/hits', function()
    return tostring(catalog.hits())
end)

http.route('GET', '/events', function()
    return { events = 'ticks' }
end)
