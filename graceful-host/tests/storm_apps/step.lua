-- How much one call counts.
local M = {}
function M.step()
    return 1
end
return M
