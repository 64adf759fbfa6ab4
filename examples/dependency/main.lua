require('strict').on()
require('graceful').reload()

local my_dependency = require('my_dependency')
