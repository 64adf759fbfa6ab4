//! `clock`: what time it is, in seconds: `time` since 1970, `monotonic` by the host's own clock, which never
//! goes back.

use std::time::{SystemTime, UNIX_EPOCH};

use rhai::{Module, NativeCallContext};

use crate::failure::fail;
use crate::unit::here;

/// The functions of `clock`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("clock");
    for name in ["time", "realtime"] {
        module.set_native_fn(name, || {
            Ok(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
        });
    }
    module.set_native_fn("monotonic", |cx: NativeCallContext| {
        Ok(here(&cx)?.runtime.world().map_err(fail)?.clock.now().as_secs_f64())
    });
    module.build_index();
    module
}
