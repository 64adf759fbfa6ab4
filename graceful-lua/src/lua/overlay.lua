-- Holds back what code that is not live yet changes in live tables: the globals, and the first level of the
-- states of modules. Before each turn of such code its changes are put in, after it they are taken out.
local raw_getmeta, raw_setmeta, same, globals, top_level = ...
local next, rawget, rawset, rawequal = next, rawget, rawset, rawequal
local getmetatable, type = getmetatable, type

-- Above so many keys a state is not copied at each turn; only the keys that are added to it are held back.
local MANY = 256

-- The metatable itself, whatever its field `__metatable` says.
local function getmeta(table)
    if getmetatable(table) == nil then return nil end
    return raw_getmeta(table)
end

local setmeta = raw_setmeta

-- `by` has for each changed key the last who changed it, with what it was before and, below, who had changed it
-- before that.
local function new_layer()
    return { set = {}, gone = {}, by = {}, meta = nil, has_meta = false }
end

local function is_empty(layer)
    return next(layer.set) == nil and next(layer.gone) == nil and not layer.has_meta
end

-- Puts the layer into `target`, and returns how many keys that adds.
local function apply(layer, target)
    local added = 0
    for key, value in next, layer.set do
        if rawget(target, key) == nil then added = added + 1 end
        rawset(target, key, value)
    end
    for key in next, layer.gone do
        if rawget(target, key) ~= nil then added = added - 1 end
        rawset(target, key, nil)
    end
    if layer.has_meta then setmeta(target, layer.meta) end
    return added
end

-- A copy of `target` and the number of its keys; nil if that is `most`. `known` is an earlier copy, which is
-- brought up to date where that is enough.
local function copy(target, most, known)
    local into, entries, count = known and known.entries or {}, known and known.count or 0, 0
    for key, value in next, target do
        if into[key] == nil then entries = entries + 1 end
        into[key] = value
        count = count + 1
        if count == most then return nil end
    end
    -- Something in the earlier copy is no longer there.
    if entries ~= count then into = copy(target) end
    if known then known.entries, known.count = into, count end
    return into, count
end

-- Puts `lower` and `layer` into `target`, in this order. The frame that is returned takes them out again.
local function put_in(target, lower, layer, most, known)
    local base, count = copy(target, most, known)
    if not base then return nil end
    local frame = { target = target, lower = lower, layer = layer, base = base, base_meta = getmeta(target) }
    frame.under_meta = frame.base_meta
    if lower then
        count = count + apply(lower, target)
        frame.under_meta = getmeta(target)
    end
    frame.count = count + apply(layer, target)
    if lower or not is_empty(layer) then frame.seen = copy(target) else frame.seen = base end
    return frame
end

-- What `key` is without the layer of the frame.
local function under(frame, key)
    local lower = frame.lower
    if lower then
        local value = lower.set[key]
        if value ~= nil then return value end
        if lower.gone[key] then return nil end
    end
    return frame.base[key]
end

-- Which keys are not what they were when the turn began, with what they were, in two lists.
local function changes(frame)
    local target, set, gone = frame.target, frame.layer.set, frame.layer.gone
    local base, plain = frame.base, not frame.lower
    local keys, before, changed, left = nil, nil, 0, frame.count
    local function note(key, was)
        if not keys then keys, before = {}, {} end
        changed = changed + 1
        keys[changed], before[changed] = key, was
    end
    for key, value in next, target do
        local was = set[key]
        if was == nil and not gone[key] then
            if plain then was = base[key] else was = under(frame, key) end
        end
        if was ~= nil then left = left - 1 end
        if not rawequal(was, value) then note(key, was) end
    end
    if left > 0 then
        local function missing(key, was)
            if rawget(target, key) == nil then note(key, was) end
        end
        for key, was in next, set do missing(key, was) end
        if frame.lower then
            for key, was in next, frame.lower.set do
                if set[key] == nil and not gone[key] then missing(key, was) end
            end
        end
        for key in next, base do
            if set[key] == nil and not gone[key] and not (frame.lower and frame.lower.set[key] ~= nil) then
                local was = under(frame, key)
                if was ~= nil then missing(key, was) end
            end
        end
    end
    return keys, before, changed
end

-- Whether all is as it was when the turn began, or when the changes were last noted.
local function is_same(frame)
    return same(frame.target, frame.seen, frame.count)
end

-- Takes the change of `key` into the layer.
local function record(frame, key, before, who)
    local layer, value, beneath = frame.layer, rawget(frame.target, key), under(frame, key)
    if rawequal(value, beneath) then
        layer.set[key], layer.gone[key], layer.by[key] = nil, nil, nil
        return
    end
    layer.set[key], layer.gone[key] = value, value == nil and true or nil
    local last = layer.by[key]
    if not last or last.who ~= who then layer.by[key] = { who = who, before = before, below = last } end
end

local function take_back(layer, frame)
    for key in next, layer.set do rawset(frame.target, key, frame.base[key]) end
    for key in next, layer.gone do rawset(frame.target, key, frame.base[key]) end
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
    local target, layer, base = frame.target, frame.layer, frame.base
    local keys, before, changed = nil, nil, 0
    if not is_same(frame) then keys, before, changed = changes(frame) end
    for index = 1, changed do record(frame, keys[index], before[index], who) end
    local meta = getmeta(target)
    layer.has_meta = not rawequal(meta, frame.under_meta)
    layer.meta = layer.has_meta and meta or nil
    for index = 1, changed do rawset(target, keys[index], base[keys[index]]) end
    take_back(layer, frame)
    if frame.lower then take_back(frame.lower, frame) end
    if not rawequal(meta, frame.base_meta) then setmeta(target, frame.base_meta) end
end

-- Takes what `who` changed into the layer and leaves it in.
local function note(frame, who)
    if is_same(frame) then return end
    local keys, before, changed = changes(frame)
    for index = 1, changed do record(frame, keys[index], before[index], who) end
    frame.seen, frame.count = copy(frame.target)
end

local overlay = {}

-- The globals as they were at the last turn.
local known = { entries = {}, count = 0 }

-- `old` is what old hooks change, `new` what new code changes; new code sees both.
function overlay.open()
    return { old = new_layer(), new = new_layer(), states = {}, of = {}, held = {}, copied = {} }
end

-- From now on the first level of `state`, which is live, is held back for the new code.
function overlay.hold(txn, who, state)
    local held = { target = state, layer = new_layer() }
    txn.states[who], txn.of[state] = held, who
end

-- The state was copied, so what was held back in it may go in when the first new hook runs.
function overlay.copied(txn, state)
    local who = txn.of[state]
    if who then txn.copied[who] = txn.states[who] end
end

-- From now on all of `class`, which is live, is held back: the new code of `who` finds it empty and fills it.
function overlay.class(txn, who, class)
    local held = txn.states[class]
    if held and held.who == who then return end
    if not held then
        held = { target = class, layer = new_layer(), class = true }
        txn.states[class], txn.held[class] = held, held
        txn.turn[#txn.turn + 1] = put_in(class, nil, held.layer)
    end
    held.who = who
    for key in next, class do
        if key ~= '__index' and key ~= '__name' then rawset(class, key, nil) end
    end
    rawset(class, '__index', class)
    setmeta(class, nil)
end

local function hold_state(held, frames)
    local most = not held.class and MANY or nil
    frames[#frames + 1] = put_in(held.target, nil, held.layer, most) or put_in_large(held.target, held.layer)
    frames[held] = true
end

local function hold_states(txn, who, hook, frames)
    if hook then
        for id, held in next, txn.copied do
            apply(held.layer, held.target)
            txn.states[id], txn.held[id], txn.copied[id] = nil, nil, nil
        end
    end
    local own = txn.states[who]
    if own then txn.held[who] = own end
    for _, held in next, txn.held do hold_state(held, frames) end
end

local function show_require(generic, own)
    if own and rawequal(rawget(globals, 'require'), generic) then rawset(globals, 'require', own) end
end

local function hide_require(frames)
    local own = frames.own
    if own and rawequal(rawget(globals, 'require'), own) then rawset(globals, 'require', frames.generic) end
end

-- Before a turn. `generic` and `own` are the `require` that everybody sees and that of the code that runs.
function overlay.enter(txn, new, who, hook, generic, own)
    local frames = { who = who, generic = generic, own = own, txn = txn }
    if new then
        frames[1] = put_in(globals, not is_empty(txn.old) and txn.old or nil, txn.new, nil, known)
        hold_states(txn, who, hook, frames)
    else
        frames[1] = put_in(globals, nil, txn.old, nil, known)
    end
    show_require(generic, own)
    txn.turn = frames
    return frames
end

-- Between the turns of two top levels that follow at once: what is in stays in.
function overlay.switch(frames, who, own)
    top_level.id = nil
    hide_require(frames)
    note(frames[1], frames.who)
    frames.who, frames.own = who, own
    local state = frames.txn.states[who]
    if state and not frames[state] then
        frames.txn.held[who] = state
        hold_state(state, frames)
    end
    show_require(frames.generic, own)
end

-- After it.
function overlay.leave(frames)
    -- The top level that had this turn may come back in another, or not at all.
    top_level.id, top_level.fresh, top_level.passage = nil, nil, nil
    local who, txn = frames.who, frames.txn
    hide_require(frames)
    for index = #frames, 1, -1 do take_out(frames[index], who) end
    for id, held in next, txn.held do
        if is_empty(held.layer) and not held.class then txn.held[id] = nil end
    end
    txn.turn = nil
end

-- The commit: what was held back is there to stay.
function overlay.pour(txn)
    apply(txn.old, globals)
    apply(txn.new, globals)
    known.entries, known.count = {}, 0
    for _, held in next, txn.states do apply(held.layer, held.target) end
end

return overlay
