-- Who made which global: a global goes, or becomes again what it was, when the module that made it leaves it.
local globals = ...
local next, rawget, rawset, tostring, type = next, rawget, rawset, tostring, type

-- key -> the last claim to it: {id, owner, earlier, under}; `under` is the claim before it, of another module.
local claims, keys = {}, {}

-- Notes the globals that `layers` change. `owners` says the module behind each record number. Returns the
-- new claims as {owner, id, text}, and the ids of those that the same module already had.
local function claim(layers, owners, next_id)
    local fresh, again = {}, {}
    local function note(key, change, earlier)
        -- Those who changed it earlier in this transaction come first.
        if change.below then note(key, change.below, earlier) end
        local owner, last = owners[change.who], claims[key]
        if last and last.owner == owner then
            again[#again + 1] = last.id
        elseif owner then
            local id = next_id()
            if change.below then earlier = change.before end
            claims[key] = { id = id, owner = owner, earlier = earlier, under = last }
            keys[id] = key
            fresh[#fresh + 1] = { owner, id, tostring(key) }
        end
    end
    for index = 1, #layers do
        for key, change in next, layers[index].by do note(key, change, rawget(globals, key)) end
    end
    return fresh, again
end

-- Every claim to a global named by text, as {owner = {text = id}}; nil if there are none.
local function owned()
    if next(claims) == nil then return nil end
    local found = {}
    for key, last in next, claims do
        if type(key) == 'string' then
            found[last.owner] = found[last.owner] or {}
            found[last.owner][key] = last.id
        end
    end
    return found
end

-- Gives up the claim `id`.
local function release(id)
    local key = keys[id]
    keys[id] = nil
    local last = claims[key]
    if not last then return end
    if last.id == id then
        rawset(globals, key, last.earlier)
        claims[key] = last.under
        return
    end
    while last.under and last.under.id ~= id do last = last.under end
    if last.under then
        last.earlier = last.under.earlier
        last.under = last.under.under
    end
end

return claim, owned, release
