-- `fiber.channel(size)`: a queue between fibers. With no room each `put` waits for its `get`.
local new_cond, monotonic, running = ...
local error, setmetatable, tostring, type = error, setmetatable, tostring, type

local channel = { __type = 'channel' }
channel.__index = channel

-- Waits at `cond` until `ready()`, the channel is closed, or the time is over.
local function wait_until(self, cond, ready, timeout)
    local till = timeout and monotonic() + timeout
    while not ready() do
        if self.closed then return false end
        local left = till and till - monotonic()
        if left and left <= 0 then return false end
        cond:wait(left)
    end
    return true
end

-- True once the message is in the queue, or, where there is none, once somebody took it.
function channel:put(value, timeout)
    if self.closed then return false end
    if self.capacity > 0 then
        if not wait_until(self, self.room, function() return self:count() < self.capacity end, timeout) then
            return false
        end
        -- Somebody may have closed it while this fiber waited.
        if self.closed then return false end
    end
    local slot = { value = value, taken = false }
    self.last, self.messages = self.last + 1, self.messages + 1
    self.queue[self.last] = slot
    self.filled:signal()
    if self.capacity > 0 then return true end
    slot.cond, slot.by = new_cond(), running()
    if wait_until(self, slot.cond, function() return slot.taken end, timeout) then return true end
    slot.gone = true
    return false
end

-- The oldest message that is still meant: not one whose `put` was given up, or cancelled.
local function first_slot(self)
    while self.first <= self.last do
        local slot = self.queue[self.first]
        if not slot.gone and not (slot.by and slot.by:status() == 'dead') then return slot end
        self.queue[self.first] = nil
        self.first, self.messages = self.first + 1, self.messages - 1
    end
end

-- The next message, or nil if none came in time or the channel was closed.
function channel:get(timeout)
    if not wait_until(self, self.filled, function() return first_slot(self) ~= nil end, timeout) then
        return nil
    end
    local slot = first_slot(self)
    self.queue[self.first] = nil
    self.first, self.messages = self.first + 1, self.messages - 1
    slot.taken = true
    if slot.cond then slot.cond:signal() end
    self.room:signal()
    return slot.value
end

-- Whoever waits for it gets nothing, and so does whoever asks from now on.
function channel:close()
    self.closed = true
    for index = self.first, self.last do
        local slot = self.queue[index]
        if slot.cond then slot.cond:broadcast() end
    end
    self.queue, self.first, self.last, self.messages = {}, 1, 0, 0
    self.filled:broadcast()
    self.room:broadcast()
end

function channel:size() return self.capacity end
function channel:is_closed() return self.closed end
function channel:is_empty() return first_slot(self) == nil end
function channel:is_full() return self:count() >= self.capacity end

-- How many messages are in it.
function channel:count()
    first_slot(self)
    return self.messages
end

return function(size)
    size = size or 0
    if type(size) ~= 'number' or size < 0 or size % 1 ~= 0 then
        error('fiber.channel: expected a number of messages, got ' .. tostring(size), 2)
    end
    return setmetatable({
        capacity = size, queue = {}, first = 1, last = 0, messages = 0, closed = false,
        filled = new_cond(), room = new_cond(),
    }, channel)
end
