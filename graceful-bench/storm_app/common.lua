-- What both roles require.
@TOP@
return { tag = function() return @TAG@ end }
