//! What is counted from the events: by result, phase, hook, kind and module, each in bounded number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use graceful_core::{Event, EventKind, Phase, Purpose, Status};

/// The upper ends of the buckets, in seconds.
pub(crate) const BUCKETS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// What more values of one label than this come to is counted together.
const VALUES: usize = 64;
/// As which value.
pub(crate) const OTHER: &str = "(other)";

/// Durations, in buckets.
#[derive(Clone, Default)]
pub(crate) struct Durations {
    /// How many were no longer than each bucket's end and longer than the one before.
    pub(crate) within: [u64; BUCKETS.len()],
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl Durations {
    fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BUCKETS.iter().position(|end| seconds <= *end) {
            self.within[at] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

pub(crate) type By<T> = BTreeMap<String, T>;

/// The events so far, counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) reloads: BTreeMap<(String, String), u64>,
    pub(crate) errors: By<u64>,
    pub(crate) durations: By<Durations>,
    pub(crate) phases: By<Durations>,
    pub(crate) pauses: Durations,
    pub(crate) succeeded: bool,
    pub(crate) ended: Duration,
    pub(crate) hooks: By<Durations>,
    pub(crate) hook_failures: By<u64>,
    pub(crate) migrations: By<u64>,
    pub(crate) cancelled: u64,
    pub(crate) handed_over: By<u64>,
    pub(crate) released: By<u64>,
    pub(crate) release_failures: By<u64>,
    /// By role, callback and result.
    pub(crate) callbacks: BTreeMap<(String, String, &'static str), u64>,
    pub(crate) callback_times: By<Durations>,
    pub(crate) state_changes: By<u64>,
    pub(crate) leaks: u64,
    pub(crate) modules: By<u64>,
    running: Running,
}

/// The reload that runs.
#[derive(Default)]
struct Running {
    failed_in: Option<Phase>,
    shut_at: Option<Duration>,
    staged: Vec<String>,
}

/// The entry of `key`, or where there are too many, the one for all others.
fn entry<'a, T: Default>(by: &'a mut By<T>, key: &str) -> &'a mut T {
    let key = if by.len() < VALUES || by.contains_key(key) { key } else { OTHER };
    by.entry(key.to_owned()).or_default()
}

impl Tally {
    pub(crate) fn count(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ReloadStarted => self.running = Running::default(),
            EventKind::PhaseEnded { phase, took, ok } => {
                entry(&mut self.phases, phase.as_str()).observe(*took);
                if !ok {
                    self.running.failed_in = Some(*phase);
                }
            }
            EventKind::Staged { module, .. } => self.running.staged.push(module.to_string()),
            EventKind::GatesShut { .. } => self.running.shut_at = Some(event.at),
            EventKind::GatesOpened { .. } => {
                if let Some(shut_at) = self.running.shut_at.take() {
                    self.pauses.observe(event.at.saturating_sub(shut_at));
                }
            }
            EventKind::Drained { cancelled } => self.cancelled += *cancelled as u64,
            EventKind::HookRan { hook, took, error, .. } => {
                entry(&mut self.hooks, hook.as_str()).observe(*took);
                if error.is_some() {
                    *entry(&mut self.hook_failures, hook.as_str()) += 1;
                }
            }
            EventKind::Migrated { error, .. } => {
                *entry(&mut self.migrations, if error.is_some() { "failed" } else { "ok" }) += 1;
            }
            EventKind::Committed { .. } => {
                for module in std::mem::take(&mut self.running.staged) {
                    *self.modules.entry(module).or_default() += 1;
                }
            }
            EventKind::HandedOver { kind, .. } => *entry(&mut self.handed_over, kind) += 1,
            EventKind::Released { kind, error: None, .. } => *entry(&mut self.released, kind) += 1,
            EventKind::Released { kind, .. } => *entry(&mut self.release_failures, kind) += 1,
            EventKind::RoleCalled { role, callback, took, error, .. } => {
                let result = if error.is_some() { "failed" } else { "ok" };
                self.called(role, callback.as_str(), result);
                entry(&mut self.callback_times, callback.as_str()).observe(*took);
            }
            EventKind::StateChanged { to, .. } => *entry(&mut self.state_changes, to.as_str()) += 1,
            EventKind::Leaked { .. } => self.leaks += 1,
            EventKind::ReloadEnded { outcome, purpose, code, took, .. } => {
                self.ended(outcome, *purpose, code.as_deref(), *took);
            }
            _ => {}
        }
    }

    /// Roles that are too many are counted together, as values of any label are.
    fn called(&mut self, role: &str, callback: &str, result: &'static str) {
        let known = self.callbacks.keys().any(|(name, _, _)| name == role);
        let names = || self.callbacks.keys().map(|(name, _, _)| name.as_str()).collect::<BTreeSet<_>>().len();
        let role = if known || names() < VALUES { role } else { OTHER };
        *self.callbacks.entry((role.to_owned(), callback.to_owned(), result)).or_default() += 1;
    }

    fn ended(&mut self, outcome: &str, purpose: Purpose, code: Option<&str>, took: Duration) {
        let phase = self.running.failed_in.filter(|_| code.is_some()).map_or("none", Phase::as_str);
        // What is live is as it should be if nobody asked for more than a check or one more module.
        let result = match (purpose, outcome) {
            (_, "stuck") => outcome,
            (Purpose::Check, _) if code.is_some() => "check_failed",
            (Purpose::Load, _) if code.is_some() => "load_failed",
            _ => outcome,
        };
        *self.reloads.entry((result.to_owned(), phase.to_owned())).or_default() += 1;
        entry(&mut self.durations, result).observe(took);
        if result != "stuck" && (purpose == Purpose::Check || result == "load_failed") {
            return;
        }
        if let Some(code) = code {
            *entry(&mut self.errors, code) += 1;
        }
        self.succeeded = code.is_none();
        self.ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    }

    /// Forgets what was counted for modules that are live no more.
    pub(crate) fn forget_all_but(&mut self, status: &Status) {
        let live =
            |name: &str| status.modules.binary_search_by(|module| module.name.as_str().cmp(name)).is_ok();
        self.modules.retain(|name, _| live(name));
        let registered = |name: &str| status.roles.roles.iter().any(|role| role.info.name == name);
        self.callbacks.retain(|(role, _, _), _| role == OTHER || registered(role));
    }
}
