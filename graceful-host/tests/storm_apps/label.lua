-- Both functions say the same number in one generation.
local M = {}
function M.first() return 'NUMBER' end
function M.second() return 'NUMBER' end
return M
