//! `strict::on()`: a variable that nobody declared is an error when the file is read, and not when it runs.
//!
//! In Rhai nothing can be assigned to that was not declared, and there are no globals; what is left is a misspelt name
//! in a branch that seldom runs. The call is found by reading, wherever in the top level it stands, and does nothing
//! when it runs. An engine that was handed over with strict variables has it on for every file.

use rhai::Module;

/// The functions of `strict`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("strict");
    module.set_native_fn("on", || Ok(()));
    module.build_index();
    module
}
