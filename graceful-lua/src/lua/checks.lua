-- `checks(...)`: one entry for each argument of the function that calls it.
local local_of, called, nearest, getmeta = ...
local error, sort, tostring, type = error, table.sort, tostring, type
local next, pairs, rawget = next, pairs, rawget
local gmatch, sub = string.gmatch, string.sub
local select = select

-- What each text of types allows: {optional = boolean, [type] = true}.
local read = {}

local function reading(text)
    local allowed, rest = {}, text
    if sub(text, 1, 1) == '?' then allowed.optional, rest = true, sub(text, 2) end
    local any = rest == ''
    for name in gmatch(rest, '[^|]+') do
        if sub(name, 1, 1) == '?' then allowed.optional, name = true, sub(name, 2) end
        if name == 'nil' then allowed.optional = true end
        if name == 'any' then any = true end
        allowed[name] = true
    end
    allowed.any = any
    read[text] = allowed
    return allowed
end

-- Its own name for its type, else Lua's.
local function type_of(value)
    local kind = type(value)
    if kind == 'table' then
        local meta = getmeta(value)
        local own = meta and rawget(meta, '__type')
        if type(own) == 'string' then return own, kind end
    end
    return kind, kind
end

-- Nil if `value` is allowed, else what it is.
local function refused(text, value)
    local allowed = read[text] or reading(text)
    if value == nil then
        if allowed.optional then return nil end
        return 'nil'
    end
    if allowed.any or allowed[type(value)] then return nil end
    local own, kind = type_of(value)
    if allowed[own] then return nil end
    if allowed.integer and kind == 'number' and value % 1 == 0 then return nil end
    return own
end

-- What is wrong with a table of options, or nil. `path` is where it lies, with a dot behind it.
local function options(spec, given, path)
    if given ~= nil and type(given) ~= 'table' then
        local at = path == '' and '' or ("option '" .. sub(path, 1, -2) .. "': ")
        return at .. 'table expected, got ' .. type_of(given)
    end
    given = given or {}
    for key in next, given do
        if spec[key] == nil then
            local known = {}
            for name in pairs(spec) do known[#known + 1] = tostring(name) end
            sort(known)
            local near = type(key) == 'string' and nearest(key, known)
            near = near and (", did you mean '" .. near .. "'?") or ''
            return "unknown option '" .. path .. tostring(key) .. "'" .. near
        end
    end
    local names = {}
    for name in pairs(spec) do names[#names + 1] = name end
    sort(names, function(a, b) return tostring(a) < tostring(b) end)
    for index = 1, #names do
        local name, wanted = names[index], spec[names[index]]
        local at = path .. tostring(name)
        if type(wanted) == 'table' then
            local wrong = options(wanted, given[name], at .. '.')
            if wrong then return wrong end
        else
            local got = refused(wanted, given[name])
            if got then return "option '" .. at .. "': " .. wanted .. ' expected, got ' .. got end
        end
    end
end

-- The function that asks is two levels up from here, and whoever called it one more: that line is to blame.
local function blame(index, name, wrong)
    local text = 'bad argument #' .. index
    if name then text = text .. " '" .. name .. "'" end
    local of = called(3)
    if of then text = text .. " to '" .. of .. "'" end
    error(text .. ' (' .. wrong .. ')', 4)
end

return function(...)
    for index = 1, select('#', ...) do
        local wanted = select(index, ...)
        local name, value = local_of(2, index)
        local kind = type(wanted)
        if kind ~= 'string' and kind ~= 'table' then
            error('checks: type #' .. index .. ' must be a string or a table of options, got ' .. kind, 2)
        elseif not name and not (kind == 'string' and refused(wanted, nil) == nil) then
            error('checks: there are ' .. select('#', ...) .. ' types and ' .. (index - 1) .. ' arguments', 2)
        elseif kind == 'string' then
            local got = refused(wanted, value)
            if got then blame(index, name, wanted .. ' expected, got ' .. got) end
        else
            local wrong = options(wanted, value, '')
            if wrong then blame(index, name, wrong) end
        end
    end
end
