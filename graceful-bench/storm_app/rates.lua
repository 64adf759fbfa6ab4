-- A role that the other one depends on.
local common = require('common')
@TOP@
return {
    init = function() @INIT@ end,
    validate_config = function() @VALIDATE@ return true end,
    apply_config = function() @APPLY@ end,
    stop = function() end,
    tag = function() return @TAG@ end,
    common = function() return common.tag() end,
}
