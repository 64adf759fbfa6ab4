-- Runs a top level, in its own coroutine: one way into Lua and one back for all that is done around it.
local load, read, names, borders, turn, thrown, xpcall, error, type = ...

local function finish(own, fresh, name, passage, ok, exports)
    turn.id = nil
    if not ok then error(exports, 0) end
    if exports == nil then exports = true end
    if type(exports) == 'table' then
        borders[exports] = true
        read(passage, exports)
    end
    own.exports, fresh[name] = exports, exports
end

-- `own` is the Lua side of its record `id`; what is exported is put there and into `fresh`.
return function(own, id, fresh, passage)
    local main, name, origin = own.main, names(passage)
    if main == nil then
        main = load(passage)
        own.main = main
    end
    turn.id, turn.fresh, turn.passage = id, fresh, passage
    if origin == nil then return finish(own, fresh, name, passage, xpcall(main, thrown, name)) end
    return finish(own, fresh, name, passage, xpcall(main, thrown, name, origin))
end
