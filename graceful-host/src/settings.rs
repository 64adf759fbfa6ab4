//! What of a manifest can change while the app runs: its entries and its `[config]`.

use std::collections::BTreeMap;
use std::time::Duration;

use graceful_core::{Engine, Limits, Native, Value};

use crate::app::{App, ReloadSettings};

/// How much longer than a top level or a hook Lua code may keep its virtual machine where the manifest does not
/// say: those are stopped by their own limits, which say so.
const LONGER: Duration = Duration::from_millis(500);

/// The name of the native module that holds `[config]`.
pub(crate) const CONFIG: &str = "config";

/// Gives `new`'s entries and config to the engine; they take effect at its next reload.
pub(crate) fn apply(engine: &Engine, old: &App, new: &App) {
    if old.entry != new.entry {
        engine.set_entries(new.entry.clone());
    }
    if old.config != new.config {
        set_config(engine, &new.config);
    }
}

/// The module `config` has one export for each key. An app without `[config]` may have its own `config`.
pub(crate) fn set_config(engine: &Engine, config: &BTreeMap<String, Value>) {
    if config.is_empty() {
        engine.natives().remove(CONFIG);
        return;
    }
    let config = config.clone();
    engine.natives().set(CONFIG, &[], move |_| {
        let values = config.iter();
        Ok(values.fold(Native::plain(), |module, (key, value)| module.value(key, value.clone())))
    });
}

/// The engine's limits, where the manifest sets them.
pub(crate) fn limits(reload: &ReloadSettings) -> Limits {
    let default = Limits::default();
    Limits {
        stage: reload.stage.unwrap_or(default.stage),
        exclusive: reload.exclusive.unwrap_or(default.exclusive),
        hook: reload.hook.unwrap_or(default.hook),
        call_wait: reload.call_wait.unwrap_or(default.call_wait),
        held_wait: reload.held_wait.unwrap_or(default.held_wait),
        retire: reload.retire.unwrap_or(default.retire),
        ..default
    }
}

/// How long code may keep an interpreter that others wait for.
pub(crate) fn turn(app: &App) -> Duration {
    let limits = limits(&app.reload);
    app.limits.turn.unwrap_or(limits.stage.max(limits.hook) + LONGER)
}

/// What differs and is read at the start only.
pub(crate) fn needs_restart(old: &App, new: &App) -> Vec<String> {
    let limits = |app: &App| limits(&app.reload);
    let differs = [
        ("listen", old.listen != new.listen),
        ("backends", old.backends != new.backends),
        ("limits", old.limits != new.limits),
        ("admin", old.admin != new.admin),
        ("reload", limits(old) != limits(new) || old.reload.debounce != new.reload.debounce),
        ("reload.watch", old.reload.watch != new.reload.watch),
    ];
    let changed = differs.iter().filter(|(_, differs)| *differs);
    changed
        .map(|(key, _)| format!("`{key}` changed in the manifest: it takes effect at the next start"))
        .collect()
}
