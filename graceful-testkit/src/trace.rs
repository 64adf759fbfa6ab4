//! The trace of a test: events and notes as lines of text that are the same on every backend and machine.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use graceful_core::{Event, EventKind, Name, Native, NativeCx, Observer, ScriptError, Value, Version};

/// The native module through which scripts speak to their test.
pub const PROBE: &str = "probe";

/// What happened, line by line: events without times and numbers, and what scripts noted.
#[derive(Default)]
pub struct Trace {
    lines: Mutex<Vec<String>>,
    latches: Mutex<BTreeSet<String>>,
}

impl Trace {
    /// An empty trace.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Every line, notes behind `- `.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Every line; the trace is empty afterwards.
    pub fn take(&self) -> String {
        let text = self.text();
        self.clear();
        text
    }

    /// The lines from the `from`th on.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.lines.lock().unwrap().get(from..).map(<[String]>::to_vec).unwrap_or_default()
    }

    /// What scripts noted, in order.
    pub fn notes(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
    }

    /// Forgets every line.
    pub fn clear(&self) {
        self.lines.lock().unwrap().clear();
    }

    /// Adds a note.
    pub fn note(&self, text: &str) {
        self.lines.lock().unwrap().push(format!("- {text}"));
    }

    /// Opens a latch: scripts that wait for it go on.
    pub fn open(&self, latch: &str) {
        self.latches.lock().unwrap().insert(latch.to_owned());
    }

    /// Shuts a latch again.
    pub fn shut(&self, latch: &str) {
        self.latches.lock().unwrap().remove(latch);
    }

    /// The top level of the native module [`PROBE`]: `note(value)`, and `open(latch)`, which says whether the
    /// test has opened it.
    pub fn probe(
        self: &Arc<Self>,
    ) -> impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static {
        let trace = self.clone();
        move |_| {
            let (notes, latches) = (trace.clone(), trace.clone());
            let probe = Native::plain()
                .function("note", move |args| {
                    notes.note(&args.first().map(said).unwrap_or_default());
                    Ok(Value::Null)
                })
                .function("open", move |args| {
                    let latch = args.first().and_then(Value::as_str).unwrap_or_default();
                    Ok(Value::Bool(latches.latches.lock().unwrap().contains(latch)))
                });
            Ok(probe)
        }
    }
}

/// A value as a note shows it.
pub fn said(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::Str(text) => text.clone(),
        Value::List(parts) => parts.iter().map(said).collect::<Vec<_>>().join(" "),
        other => match other.as_int() {
            Some(whole) => whole.to_string(),
            None => serde_json::to_string(other).unwrap_or_default(),
        },
    }
}

impl Observer for Trace {
    fn on_event(&self, event: &Event) {
        if let Some(line) = line(&event.kind) {
            self.lines.lock().unwrap().push(line);
        }
    }
}

/// One event as a line; the start of a phase has none, its end only where it failed.
fn line(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::ReloadStarted => "reload".into(),
        EventKind::Planned { steps } if steps.is_empty() => return None,
        EventKind::Planned { steps } => {
            let step = |s: &graceful_core::Step| {
                let action = serde_json::to_value(s.action).unwrap_or_default();
                format!("plan {} {} ({})", action.as_str().unwrap_or_default(), s.module, s.reason)
            };
            steps.iter().map(step).collect::<Vec<_>>().join("\n")
        }
        EventKind::PhaseStarted { .. } | EventKind::PhaseEnded { ok: true, .. } => return None,
        EventKind::PhaseEnded { phase, .. } => format!("{} failed", phase.as_str()),
        EventKind::Staged { module, old, new, .. } => format!("staged {module}{}", versions(old, new)),
        EventKind::GatesShut { modules } => format!("shut {}", names(modules)),
        EventKind::GatesOpened { modules } => format!("opened {}", names(modules)),
        EventKind::Drained { cancelled: 0 } => "drained".into(),
        EventKind::Drained { cancelled } => format!("drained, {cancelled} cancelled"),
        EventKind::Checkpointed { module, .. } => format!("checkpoint {module}"),
        EventKind::HookRan { module, hook, error, .. } => format!("hook {module} {hook}{}", failed(error)),
        EventKind::MigrationFound { module, steps } => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            format!("found {module} {}", steps.join(", "))
        }
        EventKind::Migrated { module, step, error, .. } => {
            format!("migration {module} {step}{}", failed(error))
        }
        EventKind::Undone { module, step, error } => format!("undone {module} {step}{}", failed(error)),
        EventKind::Committed { .. } => "commit".into(),
        EventKind::HandedOver { module, kind, .. } => format!("handed over {module} {kind}"),
        EventKind::Released { module, kind, error, .. } => {
            format!("released {module} {kind}{}", failed(error))
        }
        EventKind::RoleCalled { role, callback, error: None, .. } => format!("{callback} of role {role}"),
        EventKind::RoleCalled { role, callback, error: Some(_), .. } => {
            format!("{callback} of role {role} failed")
        }
        EventKind::StateChanged { from, to } => format!("{from} -> {to}"),
        EventKind::Purged { module, .. } => format!("purged {module}"),
        EventKind::Warning { module, message } => match module {
            Some(module) => format!("warning {module}: {message}"),
            None => format!("warning: {message}"),
        },
        EventKind::Leaked { module, by, .. } => format!("leaked {module}: {}", by.join(", ")),
        EventKind::ShutdownStarted => "shutdown".into(),
        EventKind::ShutdownEnded { failed: 0, .. } => "shut down".into(),
        EventKind::ShutdownEnded { failed, .. } => format!("shut down, {failed} failed"),
        EventKind::ReloadEnded { outcome, code, .. } => match code {
            Some(code) => format!("end {outcome} {code}"),
            None => format!("end {outcome}"),
        },
    })
}

fn names(modules: &[Name]) -> String {
    modules.iter().map(Name::as_str).collect::<Vec<_>>().join(" ")
}

fn versions(old: &Option<Version>, new: &Option<Version>) -> String {
    match (old, new) {
        (Some(old), Some(new)) => format!(" {old} -> {new}"),
        (None, Some(version)) => format!(" {version}"),
        (Some(version), None) => format!(" {version} -> none"),
        (None, None) => String::new(),
    }
}

fn failed(error: &Option<String>) -> String {
    error.as_ref().map(|error| format!(" failed: {error}")).unwrap_or_default()
}
