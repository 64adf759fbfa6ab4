//! `log`: lines from scripts, under the module's name.

use rhai::{Dynamic, Module, NativeCallContext};

use crate::failure::Thrown;
use crate::unit::here;

/// The functions of `log`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("log");
    macro_rules! level {
        ($($name:literal => $macro:ident),*) => { $(
            module.set_native_fn($name, |cx: NativeCallContext, text: Dynamic| -> Thrown<()> {
                let unit = here(&cx)?;
                let text = text.to_string();
                tracing::$macro!(target: "graceful::script", module = %unit.name, "{text}");
                Ok(())
            });
        )* };
    }
    level!("error" => error, "warn" => warn, "info" => info, "debug" => debug, "trace" => trace);
    module.build_index();
    module
}
