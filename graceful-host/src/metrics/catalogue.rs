//! Every metric, by name: what it is and which labels it has. docs/metrics.md documents the same names.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the host ends.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in seconds, in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// Its label, if it has any, more with commas in between.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

const fn metric(kind: Kind, name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, labels, help }
}

use Kind::{Counter, Gauge, Histogram};

/// Every metric there is, in the order in which they are printed.
pub const CATALOGUE: &[Metric] = &[
    metric(Gauge, "graceful_info", "version", "Always 1; the version of graceful."),
    metric(Gauge, "graceful_state", "state", "1 for the state the engine is in, 0 for the others."),
    metric(Gauge, "graceful_generation", "", "The live generation."),
    metric(
        Gauge,
        "graceful_generations",
        "",
        "Generations that have code in memory, the live one among them.",
    ),
    metric(Gauge, "graceful_modules", "", "Live modules."),
    metric(
        Counter,
        "graceful_reloads_total",
        "result,phase",
        "Reloads by how they ended and the phase they failed in.",
    ),
    metric(Counter, "graceful_reload_errors_total", "code", "Failed reloads by error code."),
    metric(Histogram, "graceful_reload_duration_seconds", "result", "How long reloads took."),
    metric(
        Histogram,
        "graceful_reload_phase_duration_seconds",
        "phase",
        "How long each phase of reloads took.",
    ),
    metric(
        Histogram,
        "graceful_reload_pause_seconds",
        "",
        "How long gates were shut, for reloads that shut any.",
    ),
    metric(
        Gauge,
        "graceful_last_reload_success",
        "",
        "Whether the last reload that was not only a check went well.",
    ),
    metric(
        Gauge,
        "graceful_last_reload_timestamp_seconds",
        "",
        "When the last reload ended, in Unix time; 0 before any.",
    ),
    metric(Histogram, "graceful_hook_duration_seconds", "hook", "How long hooks took."),
    metric(Counter, "graceful_hook_failures_total", "hook", "Hooks that failed."),
    metric(
        Counter,
        "graceful_migration_steps_total",
        "result",
        "Steps of migrations, by whether they went well.",
    ),
    metric(Counter, "graceful_calls_held_total", "", "Calls that had to wait at a gate."),
    metric(Counter, "graceful_calls_cancelled_total", "", "Calls that a drain cancelled."),
    metric(Counter, "graceful_handed_over_total", "kind", "What new generations took over from old ones."),
    metric(Counter, "graceful_released_total", "kind", "What old generations owned and was released."),
    metric(Counter, "graceful_release_failures_total", "kind", "What could not be released."),
    metric(Gauge, "graceful_roles_state", "state", "1 for the state the roles are in, 0 for the others."),
    metric(Gauge, "graceful_roles_registered", "", "Registered roles."),
    metric(Gauge, "graceful_roles_running", "", "Roles that run."),
    metric(Gauge, "graceful_role_running", "role", "1 for each registered role that runs, 0 for the others."),
    metric(
        Counter,
        "graceful_role_callbacks_total",
        "role,callback,result",
        "Callbacks of roles, by whether they went well.",
    ),
    metric(
        Histogram,
        "graceful_role_callback_duration_seconds",
        "callback",
        "How long callbacks of roles took.",
    ),
    metric(Counter, "graceful_roles_state_changes_total", "state", "How often the roles came to each state."),
    metric(Gauge, "graceful_leaks", "", "Old generations of modules that outlive their reload."),
    metric(Counter, "graceful_leaks_total", "", "Old generations of modules that ever did."),
    metric(Counter, "graceful_module_reloads_total", "module", "How often new code of the module went live."),
    metric(
        Gauge,
        "graceful_module_generation",
        "module",
        "The generation the module's live code was born in.",
    ),
    metric(
        Gauge,
        "graceful_module_calls_in_flight",
        "module",
        "Calls in flight that entered through the module.",
    ),
    metric(Gauge, "graceful_module_calls_held", "module", "Calls that wait at the module's gate."),
    metric(Gauge, "graceful_module_tasks", "module", "Tasks of the module that have not ended."),
    metric(
        Gauge,
        "graceful_module_old_generations",
        "module",
        "Older generations of the module that something holds.",
    ),
    metric(
        Gauge,
        "graceful_module_state_age_seconds",
        "module",
        "How old the module's state is; reloads carry it over.",
    ),
];
