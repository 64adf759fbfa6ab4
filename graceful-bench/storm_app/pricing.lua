-- A role with a page: it is there while the role runs, and who asks while it does not waits.
local fiber = require('fiber')
local http = require('http')
local rates = require('rates')
local common = require('common')
@TOP@
return {
    dependencies = { 'rates' },
    init = function()
        @INIT@
        http.route('GET', '/price', function()
            return table.concat({ @TAG@, rates.tag(), rates.common(), common.tag() }, ' ')
        end)
        fiber.create(function()
            while true do fiber.sleep(0.05) end
        end)
    end,
    validate_config = function() @VALIDATE@ return true end,
    apply_config = function() @APPLY@ end,
    stop = function() end,
}
