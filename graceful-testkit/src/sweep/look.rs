//! What a sweep compares: everything that can be seen of an app.

use std::fmt::Write;
use std::sync::Arc;

use graceful_core::{LeaseKind, Name};

use super::Ask;
use crate::scenario::App;

/// The digest of the app, what is left lying about, what runs of roles, and what it says of itself.
pub(super) fn look(app: &App, ask: &Ask) -> String {
    let (world, mut out) = (app.engine().world(), app.digest());
    for live in world.live_all() {
        let kinds: Vec<&str> = live.scope.resources().iter().map(|resource| resource.kind()).collect();
        let _ = writeln!(out, "{} owns {kinds:?}", live.name);
        if world.gate.is_shut(&live.name) || world.gate.is_frozen(&live.name) {
            let _ = writeln!(out, "{} is shut", live.name);
        }
    }
    let held = world.instances().len() - world.live_all().len();
    let _ = writeln!(out, "generation {}, {held} old modules", world.gate.live());
    for lease in world.gate.leases().iter().filter(|lease| lease.kind != LeaseKind::Task) {
        let _ = writeln!(out, "a lease of {lease}");
    }
    let roles = app.engine().roles();
    let _ = writeln!(out, "roles {:?}, running {:?}", roles.get_all_roles(), roles.running());
    let _ = writeln!(out, "config {:?}", roles.config());
    out + &ask(app)
}

/// Only what is loaded, of a [look]: not in which generation, nor what it has made of its state.
pub(super) fn shape(look: &str) -> String {
    let loaded = |line: &&str| line.contains(" born ") || line.contains("  exports");
    let line = |line: &str| format!("{}\n", line.split(" born ").next().unwrap_or_default());
    look.lines().filter(loaded).map(line).collect()
}

/// The live modules themselves.
pub(super) fn modules(app: &App) -> Vec<(Name, usize)> {
    let all = app.engine().world().live_all();
    let at = |live: &Arc<graceful_core::Instance>| {
        let module = live.module().map_or(0, |module| Arc::as_ptr(module).cast::<()>() as usize);
        (live.name.clone(), module)
    };
    all.iter().map(at).collect()
}
