-- A task that says again and again what was sold, as often as the configuration says.
local fiber = require('fiber')
local http = require('http')
local storage = require('storage')

local every, reports, last = 1, 0, 0

return {
    dependencies = { 'router', 'storage' },
    config_schema = {
        type = 'object',
        properties = { every = { type = 'number', exclusiveMinimum = 0 } },
    },
    init = function()
        fiber.create(function()
            while true do
                fiber.sleep(every)
                reports, last = reports + 1, storage.sold()
            end
        end)
        http.route('GET', '/report', function() return { reports = reports, sold = last } end)
    end,
    apply_config = function(conf) every = (conf.reporter or {}).every or 1 end,
    stop = function() end,
}
