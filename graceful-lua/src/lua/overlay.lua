-- Holds back what code that is not live yet changes in live tables: the globals, and the first level of the
-- states of modules. Before each turn of such code its changes are put in, after it they are taken out.
local getmeta, setmeta, globals = ...
local next, rawget, rawset, rawequal = next, rawget, rawset, rawequal

-- Above so many keys a state is not copied at each turn; only the keys that are added to it are held back.
local MANY = 256

local function new_layer()
    return { set = {}, gone = {}, by = {}, meta = nil, has_meta = false }
end

local function is_empty(layer)
    return next(layer.set) == nil and next(layer.gone) == nil and not layer.has_meta
end

local function apply(layer, target)
    for key, value in next, layer.set do rawset(target, key, value) end
    for key in next, layer.gone do rawset(target, key, nil) end
    if layer.has_meta then setmeta(target, layer.meta) end
end

-- A copy, or nil if there are more than `most` keys.
local function copy(target, most)
    local into, count = {}, 0
    for key, value in next, target do
        into[key] = value
        count = count + 1
        if count == most then return nil end
    end
    return into
end

-- Remembers in `layer` how `target` differs from `under`, and who made it so: `by` has for each key the last who
-- changed it, with what it was before and, below, who had changed it before that.
local function record(layer, target, under, under_meta, who)
    local before_set, before_gone, before_by = layer.set, layer.gone, layer.by
    local set, gone, by = {}, {}, {}
    local function changed(key, value)
        local before, last = before_set[key], before_by[key]
        if before == nil and not before_gone[key] then before = under[key] end
        if rawequal(before, value) or last and last.who == who then
            by[key] = last
        else
            by[key] = { who = who, before = before, below = last }
        end
    end
    for key, value in next, target do
        if not rawequal(rawget(under, key), value) then
            set[key] = value
            changed(key, value)
        end
    end
    for key in next, under do
        if rawget(target, key) == nil then
            gone[key] = true
            changed(key, nil)
        end
    end
    layer.set, layer.gone, layer.by = set, gone, by
    local meta = getmeta(target)
    layer.has_meta = not rawequal(meta, under_meta)
    layer.meta = layer.has_meta and meta or nil
end

local function restore(target, base, meta)
    for key, value in next, target do
        local was = base[key]
        if not rawequal(was, value) then rawset(target, key, was) end
    end
    for key, value in next, base do
        if rawget(target, key) == nil then rawset(target, key, value) end
    end
    if not rawequal(getmeta(target), meta) then setmeta(target, meta) end
end

-- Puts `lower` and `layer` into `target`, in this order. The frame that is returned takes them out again.
local function put_in(target, lower, layer, most)
    local base = copy(target, most)
    if not base then return nil end
    local frame = { target = target, layer = layer, base = base, base_meta = getmeta(target) }
    frame.under, frame.under_meta = base, frame.base_meta
    if lower and not is_empty(lower) then
        apply(lower, target)
        frame.under, frame.under_meta = copy(target), getmeta(target)
    end
    apply(layer, target)
    return frame
end

-- The same for a table of very many keys: only keys that are new in it are seen.
local function put_in_large(target, layer)
    local frame = { target = target, layer = layer, added = {}, base_meta = getmeta(target), large = true }
    apply(layer, target)
    local meta, added, before = {}, frame.added, nil
    for key, value in next, getmeta(target) or {} do meta[key] = value end
    before = rawget(meta, '__newindex')
    meta.__newindex = function(table, key, value)
        if type(before) == 'function' then
            before(table, key, value)
        elseif before ~= nil then
            before[key] = value
        else
            rawset(table, key, value)
        end
        if rawget(table, key) ~= nil then added[key] = true end
    end
    frame.watch = meta
    setmeta(target, meta)
    return frame
end

local function take_out_large(frame)
    local target, layer = frame.target, frame.layer
    local meta = getmeta(target)
    if not rawequal(meta, frame.watch) then layer.meta, layer.has_meta = meta, true end
    for key in next, layer.set do frame.added[key] = true end
    for key in next, frame.added do
        layer.set[key] = rawget(target, key)
        rawset(target, key, nil)
    end
    setmeta(target, frame.base_meta)
end

local function take_out(frame, who)
    if frame.large then return take_out_large(frame) end
    record(frame.layer, frame.target, frame.under, frame.under_meta, who)
    restore(frame.target, frame.base, frame.base_meta)
end

local overlay = {}

-- `old` is what old hooks change, `new` what new code changes; new code sees both.
function overlay.open()
    return { old = new_layer(), new = new_layer(), states = {}, held = {} }
end

-- From now on the first level of `state`, which is live, is held back for the new code.
function overlay.hold(txn, who, state)
    txn.states[who] = { target = state, layer = new_layer() }
end

-- The state was copied, so what was held back in it may go in when the first new hook runs.
function overlay.copied(txn, state)
    for _, held in next, txn.states do
        if rawequal(held.target, state) then held.copied = true end
    end
end

local function hold_states(txn, who, hook, frames)
    for id, held in next, txn.states do
        if hook and held.copied then
            apply(held.layer, held.target)
            txn.states[id], txn.held[id] = nil, nil
        end
    end
    local own = txn.states[who]
    if own then txn.held[who] = own end
    for _, held in next, txn.held do
        frames[#frames + 1] = put_in(held.target, nil, held.layer, MANY) or put_in_large(held.target, held.layer)
    end
end

-- Before a turn. `generic` and `own` are the `require` that everybody sees and that of the code that runs.
function overlay.enter(txn, new, who, hook, generic, own)
    local frames = { who = who, generic = generic, own = own, txn = txn }
    if new then
        frames[1] = put_in(globals, txn.old, txn.new)
        hold_states(txn, who, hook, frames)
    else
        frames[1] = put_in(globals, nil, txn.old)
    end
    if own and rawequal(rawget(globals, 'require'), generic) then rawset(globals, 'require', own) end
    return frames
end

-- After it.
function overlay.leave(frames)
    local own, who, txn = frames.own, frames.who, frames.txn
    if own and rawequal(rawget(globals, 'require'), own) then rawset(globals, 'require', frames.generic) end
    for index = #frames, 1, -1 do take_out(frames[index], who) end
    for id, held in next, txn.held do
        if is_empty(held.layer) then txn.held[id] = nil end
    end
end

-- The commit: what was held back is there to stay.
function overlay.pour(txn)
    apply(txn.old, globals)
    apply(txn.new, globals)
    for _, held in next, txn.states do apply(held.layer, held.target) end
end

return overlay
