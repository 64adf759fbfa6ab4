//! Replies as a person reads them.

pub mod history;
pub mod roles;

use std::fmt::Write;

use graceful_host::CheckReply;
use graceful_host::wire::{ModuleChange, PlanReply, StatusReply, Summary};

/// A reload that did not fail, in one line and its warnings.
pub fn summary(summary: &Summary) -> String {
    let mut text = match summary.outcome.as_str() {
        "unchanged" => format!("nothing to do: generation {} is what is on disk", summary.generation),
        "checked" => {
            let modules: Vec<String> = summary.modules.iter().map(change).collect();
            format!("generation {} stays; would be done: {}", summary.generation, modules.join(", "))
        }
        _ => {
            let modules: Vec<String> = summary.modules.iter().map(change).collect();
            let times = format!("{:.1} ms, calls held for {:.1} ms", summary.took_ms, summary.pause_ms);
            let modules =
                if modules.is_empty() { "no module changed".to_owned() } else { modules.join(", ") };
            format!("generation {}: {modules} ({times})", summary.generation)
        }
    };
    for warning in &summary.warnings {
        let _ = write!(text, "\n  warning: {warning}");
    }
    text
}

pub(crate) fn change(change: &ModuleChange) -> String {
    let versions = match (&change.old, &change.new) {
        (Some(old), Some(new)) if old != new => format!(" {old} -> {new}"),
        (_, Some(new)) => format!(" {new}"),
        _ => String::new(),
    };
    let steps: Vec<&str> = change.migration.iter().map(|step| step.to.as_str()).collect();
    let migrated = match change.migration.first() {
        Some(first) => format!(" (state {} -> {})", first.from, steps.join(" -> ")),
        None => String::new(),
    };
    format!("{} {}{versions}{migrated}", change.action, change.module)
}

/// A plan, one step a line.
pub fn plan(plan: &PlanReply) -> String {
    if plan.steps.is_empty() {
        return format!("nothing to do: generation {} is what is on disk", plan.generation);
    }
    let rows = plan.steps.iter().map(|step| {
        let live = step.live.clone().unwrap_or_else(|| "-".to_owned());
        vec![step.action.clone(), step.module.clone(), step.backend.clone(), live, step.reason.clone()]
    });
    let mut text = columns(&["action", "module", "backend", "live", "reason"], rows.collect());
    if !plan.unload.is_empty() {
        let _ = write!(text, "\nunloaded in this order: {}", plan.unload.join(", "));
    }
    text
}

/// A running host.
pub fn status(status: &StatusReply) -> String {
    let served = status.listen.as_ref().map(|address| format!(", http://{address}")).unwrap_or_default();
    let mut text = format!("{} in {} (process {}){served}\n", status.name, status.root, status.pid);
    let last = match &status.last_reload {
        None => "no reload yet".to_owned(),
        Some(last) => {
            let code = last.code.as_ref().map(|code| format!(" with {code}")).unwrap_or_default();
            let message = last.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("last reload {}{code}{message}", last.result)
        }
    };
    let _ = writeln!(text, "{}, generation {}, {last}", status.state, status.generation);
    for kept in &status.kept {
        let _ = writeln!(text, "{}: {}", kept.backend, kept.message);
    }
    let rows = status.modules.iter().map(|module| {
        let version = module.version.clone().unwrap_or_else(|| "-".to_owned());
        let counts = [module.generation, module.in_flight as u64, module.tasks as u64];
        let counts = counts.iter().map(u64::to_string);
        [module.name.clone(), module.backend.clone(), version].into_iter().chain(counts).collect()
    });
    text += &columns(&["module", "backend", "version", "generation", "in flight", "tasks"], rows.collect());
    for module in &status.modules {
        for held in &module.held {
            let _ =
                write!(text, "\n{}: generation {} is held by {}", module.name, held.born, held.by.join(", "));
        }
    }
    if !status.roles.roles.is_empty() {
        let _ = write!(text, "\nroles: {}", roles::state(&status.roles));
        let running = status.roles.roles.iter().filter(|role| role.running);
        let running: Vec<&str> = running.map(|role| role.name.as_str()).collect();
        let _ = write!(text, "\nrunning: {}", running.join(", "));
    }
    for leak in &status.leaks {
        let by = if leak.by.is_empty() { "nothing now".to_owned() } else { leak.by.join(", ") };
        let _ = write!(text, "\nleak: generation {} of {} is held by {by}", leak.born, leak.module);
    }
    text
}

/// A check that went well.
pub fn check(check: &CheckReply) -> String {
    let modules: Vec<&str> = check.modules.iter().map(|step| step.module.as_str()).collect();
    let mut text = format!("{} modules load: {}", modules.len(), modules.join(", "));
    for warning in &check.warnings {
        let _ = write!(text, "\n  warning: {warning}");
    }
    for state in &check.states {
        let word = if state.ok { "ok" } else { "wrong" };
        let _ = write!(text, "\nstate {}: {word}", state.file);
        for told in state.steps.iter().chain(&state.error) {
            let _ = write!(text, "\n  {told}");
        }
    }
    text
}

/// Rows under their titles, each column as wide as its widest cell.
fn columns(titles: &[&str], rows: Vec<Vec<String>>) -> String {
    let titles = titles.iter().map(|title| (*title).to_owned()).collect();
    let all: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..all[0].len()).map(width).collect();
    let lines = all.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_and_a_reload_read_well() {
        let reply: PlanReply = serde_json::from_str(
            r#"{"schema_version":1,"ok":true,"generation":2,"fingerprint":"f","unload":["web","db"],"steps":[
            {"module":"db","backend":"lua","action":"reload","reason":"changed","live":"1.0.0"},
            {"module":"web","backend":"rhai","action":"reload","reason":"depends on db"}]}"#,
        )
        .unwrap();
        assert_eq!(
            plan(&reply),
            "action  module  backend  live   reason\nreload  db      lua      1.0.0  changed\n\
             reload  web     rhai     -      depends on db\nunloaded in this order: web, db"
        );
        let reply: Summary = serde_json::from_str(
            r#"{"outcome":"committed","generation":3,"pause_ms":0.25,"took_ms":4.5,"warnings":["late"],"modules":[
            {"module":"db","action":"reload","reason":"changed","old":"1.0.0","new":"1.1.0"},
            {"module":"hits","action":"reload","reason":"changed","old":"1.0.0","new":"3.0.1","migration":[
            {"from":"1.0.0","to":"2.0.0"},{"from":"2.0.0","to":"3.0.0"}]},
            {"module":"web","action":"load","reason":"entry","old":null,"new":null}]}"#,
        )
        .unwrap();
        assert_eq!(
            summary(&reply),
            "generation 3: reload db 1.0.0 -> 1.1.0, \
             reload hits 1.0.0 -> 3.0.1 (state 1.0.0 -> 2.0.0 -> 3.0.0), load web (4.5 ms, calls held for 0.2 ms)\n  warning: late"
        );
    }
}
