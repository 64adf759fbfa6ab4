//! What Rhai itself bounds: nesting, operations, sizes.

/// The bounds of the interpreter. Time is bounded by the engine's own limits.
///
/// Rhai counts no bytes; `memory` bounds what it holds as far as that can be seen from outside. Exact bounds are
/// `string_size`, `array_size` and `map_size`, but with any of them Rhai measures every array and map that a function is
/// given by reference or returns, which costs time in proportion to its size, and so they are off by default.
/// `map_size` is not enforced by Rhai where a map is written to by `m[key] = value`.
///
/// However these are set, a value may be nested 128 deep, and no script makes one that is too deep for the stack of
/// the thread it runs on: the smaller that is, the more often all variables of the running function are looked through. A
/// script that holds very much in variables is the faster for threads with a stack of 32 MiB (`thread_stack_size` of
/// tokio's runtime); with less than some 7 MiB left every call gets a stack of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep functions may call each other, across Rhai modules too. What is too deep for the thread that
    /// runs it ends the process, so raise this together with the stack size of the host's threads.
    pub call_levels: usize,
    /// How deep expressions and statements may nest, at the top level and inside functions.
    pub expression_depth: usize,
    /// How many operations one entry into a module may take; `None` for any number.
    pub operations: Option<u64>,
    /// How long a string may get, in bytes.
    pub string_size: Option<usize>,
    /// How long an array or blob may get, nested ones counted in.
    pub array_size: Option<usize>,
    /// How many entries a map may get, nested ones counted in.
    pub map_size: Option<usize>,
    /// How many bytes the variables of a function that runs may hold, as far as that can be told: texts, lists,
    /// maps, blobs and what they hold, looked at every some thousand operations; and each of them by itself
    /// whenever it is read. Another operation may have doubled it by then.
    pub memory: Option<usize>,
}

/// Frames of an unoptimised interpreter take so much room that a thread of 2 MiB holds some 60 of them.
const CALL_LEVELS: usize = if cfg!(debug_assertions) { 24 } else { 64 };

impl Default for Limits {
    fn default() -> Self {
        Self {
            call_levels: CALL_LEVELS,
            expression_depth: 64,
            operations: None,
            string_size: None,
            array_size: None,
            map_size: None,
            memory: Some(256 << 20),
        }
    }
}

impl Limits {
    pub(crate) fn apply(&self, engine: &mut rhai::Engine) {
        engine.set_max_call_levels(self.call_levels);
        engine.set_max_expr_depths(self.expression_depth, self.expression_depth);
        engine.set_max_operations(self.operations.unwrap_or(0));
        engine.set_max_string_size(self.string_size.unwrap_or(0));
        engine.set_max_array_size(self.array_size.unwrap_or(0));
        engine.set_max_map_size(self.map_size.unwrap_or(0));
    }
}
