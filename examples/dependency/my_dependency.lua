require('strict').on()

local checks = require('checks')
local fiber = require('fiber')
local graceful = require('graceful')

local function fiber_func()
    fiber.sleep(10)
end

local STATE = graceful.register_module('my_dependency', {
    version = graceful.semver(1, 0, 0),
    init = function (mod)
        mod.state.fib = fiber.new(fiber_func)
    end,
    finalize = function (mod)
        mod.state.fib:cancel()
        mod.state.fib = nil
    end,
    before_reload = function (mod)
        mod.state.old_version = mod.version
    end,
    on_reload = function (mod)
        if mod.version:string() ~= mod.state.old_version:string() then
            -- There is possibly a diff in fiber_func, restart the fiber
            mod.state.fib:cancel()
            mod.state.fib = fiber.new(fiber_func)
        end
        mod.state.old_version = nil
    end,
}).state

local function get_fiber()
    return STATE.fib
end
