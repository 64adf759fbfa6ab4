-- `fiber.channel(size)`: a queue between fibers. With no room each `put` waits for its `get`.
--
-- In a reload both are taken back if it fails: what is put in is there from the commit on, and what was taken out is in
-- its place again. A channel that the reload itself made is its own until then.
local new_cond, monotonic, running, new_fate = ...
local error, next, setmetatable, tostring, type = error, next, setmetatable, tostring, type

local channel = { __type = 'channel' }
channel.__index = channel

-- The fate of what is done to this channel now, if that is not decided yet.
local function fate_of(self)
    if self.fate and self.fate:is_of_this_reload() then return nil end
    return new_fate(self.filled, self.room)
end

-- A message is out: `how` says whether it was taken, or is gone.
local function leave(self, slot, how)
    slot[how], self.messages = true, self.messages - 1
end

-- Whoever waits for it gets nothing, and so does whoever asks from now on.
local function shut(self)
    self.closed = true
    for index = self.first, self.last do
        local slot = self.queue[index]
        if slot.cond then slot.cond:broadcast() end
    end
    self.queue, self.first, self.last, self.messages, self.open = {}, 1, 0, 0, {}
    self.filled:broadcast()
    self.room:broadcast()
end

-- Takes in what became of what reloads did.
local function settle(self)
    for slot, fate in next, self.open do
        local done = fate:is_done()
        if done ~= nil then
            self.open[slot] = nil
            if slot.got and done then leave(self, slot, 'taken') end
            if slot.put and not done then leave(self, slot, 'gone') end
            slot.put, slot.got = nil, nil
        end
    end
    local done
    if self.closes then done = self.closes:is_done() end
    if done ~= nil then self.closes = nil end
    if done then shut(self) end
end

-- Waits at `cond` until `ready()`, the channel is closed, or the time is over.
local function wait_until(self, cond, ready, timeout)
    local till = timeout and monotonic() + timeout
    settle(self)
    while not ready() do
        if self.closed then return false end
        local left = till and till - monotonic()
        if left and left <= 0 then return false end
        cond:wait(left)
        settle(self)
    end
    return true
end

-- True once the message is in the queue, or, where there is none, once somebody took it.
function channel:put(value, timeout)
    settle(self)
    if self.closed then return false end
    if self.capacity > 0 then
        if not wait_until(self, self.room, function() return self.messages < self.capacity end, timeout) then
            return false
        end
        -- Somebody may have closed it while this fiber waited.
        if self.closed then return false end
    end
    local fate = fate_of(self)
    if fate and self.capacity == 0 then
        error('channel.put: nobody can take a message before the reload is done: give the channel room', 2)
    end
    local slot = { value = value, put = fate }
    self.last, self.messages = self.last + 1, self.messages + 1
    self.queue[self.last], self.open[slot] = slot, fate
    self.filled:signal()
    if self.capacity > 0 then return true end
    slot.cond, slot.by = new_cond(), running()
    if wait_until(self, slot.cond, function() return slot.taken end, timeout) then return true end
    if not self.closed then leave(self, slot, 'gone') end
    return false
end

-- The oldest message that is there and still meant: not one whose `put` was given up, or cancelled.
local function first_slot(self)
    for index = self.first, self.last do
        local slot = self.queue[index]
        local out = slot.taken or slot.gone
        if not out and slot.by and slot.by:status() == 'dead' then
            leave(self, slot, 'gone')
            out = true
        end
        if not (out or slot.put or slot.got) then return slot end
        if out and index == self.first then self.queue[index], self.first = nil, index + 1 end
    end
end

-- The next message, or nil if none came in time or the channel was closed.
function channel:get(timeout)
    if not wait_until(self, self.filled, function() return first_slot(self) ~= nil end, timeout) then
        return nil
    end
    local slot, fate = first_slot(self), fate_of(self)
    if fate then slot.got, self.open[slot] = fate, fate else leave(self, slot, 'taken') end
    if slot.cond then slot.cond:signal() end
    self.room:signal()
    return slot.value
end

function channel:close()
    settle(self)
    local fate = fate_of(self)
    if not fate then return shut(self) end
    self.closes = fate
    self.filled:broadcast()
    self.room:broadcast()
    for index = self.first, self.last do
        local slot = self.queue[index]
        if slot.cond then slot.cond:broadcast() end
    end
end

function channel:size() return self.capacity end

function channel:is_closed()
    settle(self)
    return self.closed
end

function channel:is_empty()
    settle(self)
    return first_slot(self) == nil
end

function channel:is_full()
    settle(self)
    first_slot(self)
    return self.messages >= self.capacity
end

-- How many messages are in it.
function channel:count()
    settle(self)
    first_slot(self)
    local there = self.messages
    for _ in next, self.open do there = there - 1 end
    return there
end

return function(size)
    size = size or 0
    if type(size) ~= 'number' or size < 0 or size % 1 ~= 0 then
        error('fiber.channel: expected a number of messages, got ' .. tostring(size), 2)
    end
    return setmetatable({
        capacity = size, queue = {}, first = 1, last = 0, messages = 0, closed = false, open = {},
        filled = new_cond(), room = new_cond(), fate = new_fate(),
    }, channel)
end
