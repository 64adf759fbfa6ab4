-- What everybody ends at.
@TOP@
return { tag = function() return @TAG@ end }
