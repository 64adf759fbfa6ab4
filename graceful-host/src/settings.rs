//! What of a manifest can change while the app runs: its entries and its `[config]`.

use std::time::Duration;

use graceful_core::{Engine, Limits, Native};

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
    if (&old.config, old.roles.is_some()) != (&new.config, new.roles.is_some()) {
        set_config(engine, new);
    }
    allow(engine, new);
}

/// The engine is as `app` has it, whatever another manifest, whose reload was given up, has asked for.
pub(crate) fn restore(engine: &Engine, app: &App) {
    engine.set_entries(app.entry.clone());
    set_config(engine, app);
    allow(engine, app);
}

/// Whether the manifest allows the code of roles to be reloaded.
pub(crate) fn allow(engine: &Engine, app: &App) {
    if let Some(roles) = &app.roles {
        engine.roles().set_reload_allowed(roles.reload_allowed);
    }
}

/// The module `config` has one export for each key. An app without `[config]` may have its own `config`; in one with
/// roles they are told the configuration, and there is no second one to read.
pub(crate) fn set_config(engine: &Engine, app: &App) {
    if app.config.is_empty() || app.roles.is_some() {
        engine.natives().remove(CONFIG);
        return;
    }
    let config = app.config.clone();
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
        ("state_dir", old.state_dir != new.state_dir),
        ("roles", old.roles.is_some() && new.roles.is_none()),
        ("reload", limits(old) != limits(new) || old.reload.debounce != new.reload.debounce),
        ("reload.watch", old.reload.watch != new.reload.watch),
    ];
    let changed = differs.iter().filter(|(_, differs)| *differs);
    let changed =
        changed.map(|(key, _)| format!("`{key}` changed in the manifest: it takes effect at the next start"));
    changed.chain(needs_reset(old, new)).collect()
}

/// What roles were told differs, and they are told again only if that is asked for.
fn needs_reset(old: &App, new: &App) -> Vec<String> {
    let (Some(before), Some(after)) = (&old.roles, &new.roles) else { return Vec::new() };
    let differs = [
        ("config", old.config != new.config),
        ("roles.enabled", before.enabled != after.enabled),
        ("roles.master", before.master != after.master),
    ];
    let changed = differs.iter().filter(|(_, differs)| *differs);
    let told = |key: &str| {
        format!(
            "`{key}` changed in the manifest: `graceful config reset` applies it, or a start if nothing else was applied"
        )
    };
    changed.map(|(key, _)| told(key)).collect()
}
