-- The pages. They are there while the role runs: what `init` registers goes when the role stops.
local http = require('http')
local pricing = require('pricing')
local storage = require('storage')

local currencies = { EUR = true, SEK = true }
local currency

return {
    dependencies = { 'pricing', 'storage' },
    validate_config = function(conf)
        local wanted = (conf.router or {}).currency
        if not currencies[wanted] then
            return nil, 'router.currency: there is no currency ' .. tostring(wanted)
        end
        return true
    end,
    init = function()
        http.route('GET', '/price/:item', function(request)
            storage.sell()
            return { item = request.params.item, cents = pricing.price(request.params.item), currency = currency }
        end)
    end,
    apply_config = function(conf) currency = conf.router.currency end,
    stop = function() end,
}
