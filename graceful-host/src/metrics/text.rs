//! Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use graceful_core::status::{EngineState, ModuleStatus};
use graceful_core::{InstanceState, Status};

use super::catalogue::{CATALOGUE, Kind, Metric};
use super::tally::{BUCKETS, By, Durations, OTHER, Tally};

/// More modules than this are shown together.
pub(crate) const MODULES: usize = 500;

const STATES: [(&str, EngineState); 5] = [
    ("idle", EngineState::Idle),
    ("reloading", EngineState::Reloading),
    ("stuck", EngineState::Stuck),
    ("stopping", EngineState::Stopping),
    ("stopped", EngineState::Stopped),
];

/// Every metric, with its help and type.
pub(crate) fn text(tally: &Tally, status: &Status) -> String {
    let mut text = String::new();
    for metric in CATALOGUE {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(text, "# HELP {} {help}\n# TYPE {} {kind}", metric.name, metric.name);
        let mut samples = Samples { metric, text: &mut text };
        match metric.labels {
            "module" => samples.modules(tally, status),
            _ => samples.others(tally, status),
        }
    }
    text
}

struct Samples<'a> {
    metric: &'static Metric,
    text: &'a mut String,
}

impl Samples<'_> {
    fn others(&mut self, tally: &Tally, status: &Status) {
        match self.metric.name {
            "graceful_info" => self.one(&[("version", env!("CARGO_PKG_VERSION"))], 1),
            "graceful_state" => STATES
                .iter()
                .for_each(|(word, state)| self.one(&[("state", word)], u8::from(status.state == *state))),
            "graceful_generation" => self.one(&[], status.generation),
            "graceful_generations" => self.one(&[], status.generations),
            "graceful_modules" => self.one(&[], status.modules.len()),
            "graceful_reloads_total" => tally.reloads.iter().for_each(|((result, phase), count)| {
                self.one(&[("result", result), ("phase", phase)], count);
            }),
            "graceful_reload_errors_total" => self.by(&tally.errors),
            "graceful_reload_duration_seconds" => self.durations_by(&tally.durations),
            "graceful_reload_phase_duration_seconds" => self.durations_by(&tally.phases),
            "graceful_reload_pause_seconds" => self.durations(None, &tally.pauses),
            "graceful_last_reload_success" => self.one(&[], u8::from(tally.succeeded)),
            "graceful_last_reload_timestamp_seconds" => self.one(&[], tally.ended.as_secs_f64()),
            "graceful_hook_duration_seconds" => self.durations_by(&tally.hooks),
            "graceful_hook_failures_total" => self.by(&tally.hook_failures),
            "graceful_migration_steps_total" => self.by(&tally.migrations),
            "graceful_calls_held_total" => self.one(&[], status.calls_held),
            "graceful_calls_cancelled_total" => self.one(&[], tally.cancelled),
            "graceful_handed_over_total" => self.by(&tally.handed_over),
            "graceful_released_total" => self.by(&tally.released),
            "graceful_release_failures_total" => self.by(&tally.release_failures),
            "graceful_roles_state" => InstanceState::ALL.iter().for_each(|state| {
                self.one(&[("state", state.as_str())], u8::from(status.roles.state == *state));
            }),
            "graceful_roles_registered" => self.one(&[], status.roles.roles.len()),
            "graceful_roles_running" => {
                self.one(&[], status.roles.roles.iter().filter(|role| role.running).count());
            }
            "graceful_role_running" => status.roles.roles.iter().take(MODULES).for_each(|role| {
                self.one(&[("role", &role.info.name)], u8::from(role.running));
            }),
            "graceful_role_callbacks_total" => {
                tally.callbacks.iter().for_each(|((role, callback, result), count)| {
                    self.one(&[("role", role), ("callback", callback), ("result", result)], count);
                });
            }
            "graceful_role_callback_duration_seconds" => self.durations_by(&tally.callback_times),
            "graceful_roles_state_changes_total" => self.by(&tally.state_changes),
            "graceful_leaks" => self.one(&[], status.leaks.len()),
            "graceful_leaks_total" => self.one(&[], tally.leaks),
            other => unreachable!("{other} is in the catalogue and has no value"),
        }
    }

    /// Of more modules than are shown one by one, the rest is added up, so that sums stay right.
    fn modules(&mut self, tally: &Tally, status: &Status) {
        let value = |module: &ModuleStatus| match self.metric.name {
            "graceful_module_reloads_total" => {
                tally.modules.get(&module.name).copied().unwrap_or_default() as f64
            }
            "graceful_module_generation" => module.generation as f64,
            "graceful_module_calls_in_flight" => module.in_flight as f64,
            "graceful_module_calls_held" => module.waiting as f64,
            "graceful_module_tasks" => module.tasks as f64,
            "graceful_module_old_generations" => module.held.len() as f64,
            "graceful_module_state_age_seconds" => module.state_age_ms as f64 / 1000.0,
            other => unreachable!("{other} is in the catalogue and has no value"),
        };
        let adds_up =
            !["graceful_module_generation", "graceful_module_state_age_seconds"].contains(&self.metric.name);
        let mut shown: BTreeMap<&str, f64> = BTreeMap::new();
        for (at, module) in status.modules.iter().enumerate() {
            let value = value(module);
            let name = if at < MODULES { module.name.as_str() } else { OTHER };
            let all = shown.entry(name).or_default();
            *all = if adds_up { *all + value } else { all.max(value) };
        }
        shown.into_iter().for_each(|(name, value)| self.one(&[("module", name)], value));
    }

    fn by(&mut self, by: &By<u64>) {
        by.iter().for_each(|(label, count)| self.one(&[(self.metric.labels, label)], count));
    }

    fn durations_by(&mut self, by: &By<Durations>) {
        by.iter().for_each(|(label, durations)| self.durations(Some(label), durations));
    }

    fn durations(&mut self, label: Option<&str>, durations: &Durations) {
        let own: Vec<(&str, &str)> = label.map(|label| (self.metric.labels, label)).into_iter().collect();
        let mut so_far = 0;
        for (end, within) in BUCKETS.iter().zip(durations.within) {
            so_far += within;
            self.sample("_bucket", &own, Some(&end.to_string()), so_far);
        }
        self.sample("_bucket", &own, Some("+Inf"), durations.count);
        self.sample("_sum", &own, None, durations.sum);
        self.sample("_count", &own, None, durations.count);
    }

    fn one(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, None, value);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], end: Option<&str>, value: impl Display) {
        let all = labels.iter().copied().chain(end.map(|end| ("le", end)));
        let all: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
        let _ = writeln!(self.text, "{}{suffix}{labels} {value}", self.metric.name);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use graceful_core::{Event, EventKind};

    use super::*;

    fn status(names: impl Iterator<Item = String>) -> Status {
        let module = |name| ModuleStatus {
            name,
            backend: "lua".into(),
            version: None,
            generation: 1,
            in_flight: 2,
            waiting: 0,
            tasks: 1,
            state_age_ms: 1500,
            held: Vec::new(),
        };
        Status {
            state: EngineState::Idle,
            generation: 1,
            generations: 1,
            calls_held: 0,
            modules: names.map(module).collect(),
            leaks: Vec::new(),
            kept: Vec::new(),
            last_reload: None,
            roles: Default::default(),
        }
    }

    #[test]
    fn obs_02_labels_are_escaped() {
        let text = text(&Tally::default(), &status(["a\"b\\c\nd".to_owned()].into_iter()));
        let expected = r#"graceful_module_tasks{module="a\"b\\c\nd"} 1"#;
        assert!(text.lines().any(|line| line == expected), "{text}");
        assert!(text.contains("graceful_module_state_age_seconds{module=\"a\\\"b\\\\c\\nd\"} 1.5\n"));
    }

    #[test]
    fn obs_02_the_number_of_series_is_bounded_and_sums_stay_right() {
        let mut tally = Tally::default();
        for n in 0..5_000_u64 {
            let (module, kind, key) = ("m".into(), format!("kind {n}"), "k".into());
            let kind = EventKind::Released { module, kind, key, took: Duration::ZERO, error: None };
            tally.count(&Event { seq: n, reload: 1, at: Duration::ZERO, kind });
        }
        let text = text(&tally, &status((0..3_000).map(|n| format!("module{n:05}"))));
        let sum = |name: &str| {
            let own = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            let values: Vec<f64> =
                own.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
            (values.len(), values.iter().sum::<f64>())
        };
        assert_eq!(sum("graceful_module_calls_in_flight"), (MODULES + 1, 6_000.0));
        assert_eq!(sum("graceful_released_total"), (65, 5_000.0));
        let all = text.lines().filter(|line| !line.starts_with('#')).count();
        assert!(all < 8 * (MODULES + 1) + 500, "{all} series");
    }

    #[test]
    fn obs_02_what_was_counted_for_a_module_goes_with_it() {
        let mut tally = Tally::default();
        for (seq, module) in ["gone", "here"].into_iter().enumerate() {
            let staged =
                EventKind::Staged { module: module.into(), old: None, new: None, took: Duration::ZERO };
            tally.count(&Event { seq: seq as u64, reload: 1, at: Duration::ZERO, kind: staged });
        }
        tally.count(&Event {
            seq: 3,
            reload: 1,
            at: Duration::ZERO,
            kind: EventKind::Committed { generation: 1 },
        });
        tally.forget_all_but(&status(["here".to_owned()].into_iter()));
        assert_eq!(tally.modules.keys().collect::<Vec<_>>(), ["here"]);
    }
}
