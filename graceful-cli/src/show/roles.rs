//! Roles and configurations as a person reads them.

use std::fmt::Write;

use graceful_host::wire::{ApplyReply, ConfigReply, DiffReply, RolesShown};

use super::columns;

/// The roles, one a line, under what they do together.
pub fn roles(shown: &RolesShown) -> String {
    let mut text = state(shown);
    if shown.roles.is_empty() {
        let _ = write!(text, "\nno roles");
        return text;
    }
    let rows = shown.roles.iter().map(|role| {
        let kind = match (role.permanent, role.hidden) {
            (true, _) => "permanent",
            (false, true) => "hidden",
            (false, false) => "-",
        };
        let runs = match (role.enabled, role.running) {
            (true, true) => "runs",
            (true, false) => "enabled, does not run",
            (false, true) => "runs, is not enabled",
            (false, false) => "-",
        };
        let below = if role.dependencies.is_empty() { "-".to_owned() } else { role.dependencies.join(", ") };
        [&role.name, &role.module, &role.backend, kind, runs, &below].map(str::to_owned).to_vec()
    });
    let titles = ["role", "module", "backend", "kind", "runs", "depends on"];
    let _ = write!(text, "\n{}", columns(&titles, rows.collect()));
    text
}

/// What the roles do, in one line, and why they do not do better.
pub fn state(shown: &RolesShown) -> String {
    let running = shown.roles.iter().filter(|role| role.running).count();
    let mut text = format!("{}, {running} of {} roles run", shown.state, shown.roles.len());
    if shown.reload_forbidden {
        text.push_str(", reloading them is forbidden");
    }
    if let Some(trouble) = &shown.trouble {
        let phase = trouble.phase.as_ref().map(|phase| format!(" in {phase}")).unwrap_or_default();
        let (code, message, serves) = (&trouble.code, &trouble.message, trouble.generation);
        let _ = write!(text, "\ntrouble{phase}: {code}: {message}; generation {serves} serves");
    }
    text
}

/// The active configuration.
pub fn config(reply: &ConfigReply) -> String {
    serde_json::to_string_pretty(&reply.config).unwrap_or_default()
}

/// The differences, one a line.
pub fn diff(reply: &DiffReply) -> String {
    if reply.changes.is_empty() {
        return "nothing is different".to_owned();
    }
    let lines = reply.changes.iter().map(|change| match (&change.old, &change.new) {
        (Some(old), Some(new)) => format!("~ {}: {old} -> {new}", change.path),
        (Some(old), None) => format!("- {}: {old}", change.path),
        (None, Some(new)) => format!("+ {}: {new}", change.path),
        (None, None) => change.path.clone(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What was done with each role.
pub fn applied(reply: &ApplyReply, well: &str) -> String {
    let partly = !reply.ok && reply.roles.iter().any(|role| role.error.is_some());
    // What is applied and cannot be kept is an error besides.
    let mut text = if partly { "applied in part".to_owned() } else { well.to_owned() };
    if !reply.roles.is_empty() {
        let told: Vec<String> =
            reply.roles.iter().map(|role| format!("{} {}", role.did, role.role)).collect();
        let _ = write!(text, ": {}", told.join(", "));
    }
    for role in reply.roles.iter().filter(|role| role.error.is_some()) {
        let _ = write!(text, "\n  {}: {}", role.role, role.error.as_deref().unwrap_or_default());
    }
    for warning in &reply.warnings {
        let _ = write!(text, "\n  warning: {warning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_well() {
        let shown: RolesShown = serde_json::from_str(
            r#"{"state":"ReloadError","reload_forbidden":false,"trouble":{"code":"GR0508","phase":"activate",
            "message":"init of role `b` failed: no","generation":3},"roles":[
            {"name":"a","module":"app.a","backend":"lua","dependencies":[],"permanent":true,"hidden":true,
             "callbacks":[],"enabled":true,"running":true},
            {"name":"b","module":"b","backend":"rhai","dependencies":["app.a"],"permanent":false,"hidden":false,
             "callbacks":[],"enabled":false,"running":false}]}"#,
        )
        .unwrap();
        assert_eq!(
            roles(&shown),
            "ReloadError, 1 of 2 roles run\n\
             trouble in activate: GR0508: init of role `b` failed: no; generation 3 serves\n\
             role  module  backend  kind       runs  depends on\n\
             a     app.a   lua      permanent  runs  -\n\
             b     b       rhai     -          -     app.a"
        );
    }
}
