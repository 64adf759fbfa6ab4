-- Between the pages and what everybody ends at.
local leaf = require('leaf')
@TOP@
return {
    tag = function() return @TAG@ end,
    leaf = function() return leaf.tag() end,
}
