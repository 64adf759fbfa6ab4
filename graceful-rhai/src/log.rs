//! `log`: lines from scripts, under the module's name.

use rhai::{Dynamic, Module, NativeCallContext};

use crate::error;
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
                let place = error::place(&unit.program.source.origin, cx.call_position());
                tracing::$macro!(target: "graceful::script", module = %unit.name, %place, "{text}");
                Ok(())
            });
        )* };
    }
    level!("error" => error, "warn" => warn, "info" => info, "verbose" => debug, "debug" => debug, "trace" => trace);
    module.build_index();
    module
}
