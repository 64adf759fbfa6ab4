//! The error codes: each is documented in docs/errors.md, once, completely and truthfully.

mod repo;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use graceful_core::error::ScriptErrorKind;
use graceful_core::role::{ApplyReport, Operation};
use graceful_core::{
    CallError, Hook, InstanceState, MigrationStep, Migrations, Outcome, Phase, Place, ReloadError,
    ReloadErrorKind, Report, RoleError, ScriptError, Version,
};

const FIELDS: [&str; 4] = ["Meaning", "Cause", "What to do", "Retryable"];

/// The codes in the sources of every package, with one place each.
fn in_sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in repo::files(&[".rs"]).iter().filter(|file| file.path.contains("/src/")) {
        for (number, line) in repo::code(&source.text) {
            for (at, _) in line.match_indices("\"GR") {
                let code: String = line[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
                if code.len() == 6 && code[2..].chars().all(|c| c.is_ascii_digit()) {
                    found.entry(code).or_insert(format!("{}:{number}", source.path));
                }
            }
        }
    }
    found
}

/// The documented codes, with the text of each one's section.
fn documented() -> BTreeMap<String, String> {
    let text = repo::file("docs/errors.md");
    let mut found = BTreeMap::new();
    let mut sections = text.split("\n### ");
    sections.next();
    for section in sections {
        let (code, body) = section.split_once('\n').expect("a section has a text");
        let body = body.split("\n## ").next().unwrap_or_default();
        let double = found.insert(code.to_owned(), body.to_owned());
        assert!(double.is_none(), "docs/errors.md: {code} stands there twice");
    }
    found
}

fn field(section: &str, name: &str) -> Option<String> {
    let (_, rest) = section.split_once(&format!("- **{name}:**"))?;
    let text = rest.split("\n- **").next()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[test]
fn obs_04_every_code_is_documented() {
    let documented = documented();
    let missing: Vec<String> = in_sources()
        .into_iter()
        .filter(|(code, _)| !documented.contains_key(code))
        .map(|(code, place)| format!("{code} ({place})"))
        .collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {}. Add a section for each.", missing.join(", "));
}

#[test]
fn obs_04_every_documented_code_exists() {
    let sources = in_sources();
    let gone: Vec<String> = documented().into_keys().filter(|code| !sources.contains_key(code)).collect();
    assert!(gone.is_empty(), "in docs/errors.md and in no source: {}. Remove them.", gone.join(", "));
}

#[test]
fn obs_04_every_section_says_what_why_and_what_to_do() {
    for (code, section) in documented() {
        for name in FIELDS {
            let text = field(&section, name);
            assert!(text.is_some(), "docs/errors.md, {code}: `- **{name}:** ...` is missing or empty");
        }
        let retryable = field(&section, "Retryable").unwrap();
        let known = ["yes.", "no.", "as the cause in `kind`."];
        assert!(known.contains(&retryable.as_str()), "docs/errors.md, {code}: retryable is one of {known:?}");
    }
}

fn reload_failures() -> Vec<ReloadErrorKind> {
    use ReloadErrorKind::*;
    let (module, text) = (graceful_core::source::Name::from("web"), || "why".to_owned());
    let holders = || vec![text()];
    let step = || Box::new(MigrationStep { from: Version::new(1, 0, 0), to: Version::new(2, 0, 0) });
    vec![
        Unreadable { module: module.clone(), reason: text() },
        NoBackend { module: module.clone(), origin: text(), backend: text() },
        Missing { module: module.clone(), by: text(), place: None, searched: holders() },
        Cycle { path: vec![module.clone(), module.clone()] },
        Hook { module: module.clone(), hook: self::Hook::Init, message: text(), place: None },
        HookTimeout { module: module.clone(), hook: self::Hook::Init, budget: Duration::ZERO, place: None },
        Checkpoint { module: module.clone(), reason: text() },
        Migration { module: module.clone(), step: step(), message: text(), place: None },
        MigrationTimeout { module: module.clone(), step: step(), budget: Duration::ZERO, place: None },
        NoMigration { module: module.clone(), step: step(), declared: Migrations::default() },
        NoWayBack { module: module.clone(), step: step(), declared: Migrations::default() },
        DrainTimeout { holders: holders(), deadline: Duration::ZERO },
        StillHeld { module: module.clone(), holders: holders() },
        Unsettled { module: module.clone() },
        Clash { kind: text(), keys: (text(), text()), first: module.clone(), second: module.clone() },
        InUse { module: module.clone(), dependents: vec![module.clone()] },
        NoModule { module: module.clone() },
        StalePlan,
        Busy,
        Nested,
        Abandoned,
        Internal { message: "no".into() },
        Stopped,
        Hung { module, what: "top level", lasts: Duration::ZERO },
    ]
}

fn role_failures() -> Vec<RoleError> {
    use RoleError::*;
    let (module, text) = (graceful_core::source::Name::from("web"), || "why".to_owned());
    let report =
        ApplyReport { state: InstanceState::OperationError, roles: Vec::new(), warnings: Vec::new() };
    let (callback, state) = (graceful_core::Callback::Init, InstanceState::Unconfigured);
    vec![
        Declaration { module: module.clone(), reason: text() },
        NameClash { role: text(), first: module.clone(), second: module.clone() },
        Cycle { path: vec![module.clone(), module.clone()] },
        Unknown { role: text(), near: None },
        Names { got: text() },
        NoDocument { got: text() },
        Unfit { path: text(), reason: text() },
        Schema { role: text(), module: module.clone(), path: text(), expected: text() },
        Gone { role: text(), module: module.clone() },
        Refused { role: text(), module: module.clone(), message: text(), place: None },
        RoleError::Callback { role: text(), module: module.clone(), callback, message: text(), place: None },
        Timeout { role: text(), module, callback, budget: Duration::ZERO, place: None },
        Partly { report: Box::new(report) },
        Banned,
        Forbidden,
        State { operation: Operation::Reload, state },
        Nested,
        Busy,
        Use { function: "cfg", reason: text() },
        Awaited { wanted: state, state, timeout: Duration::ZERO },
    ]
}

fn script_failures() -> Vec<ScriptError> {
    use ScriptErrorKind::*;
    let kinds = [Syntax, Runtime, Timeout, Memory, Registration, Import, Panic];
    kinds.map(|kind| ScriptError::new(kind, "why")).to_vec()
}

fn call_failures() -> Vec<CallError> {
    let (module, waited) = (String::from("web"), Duration::ZERO);
    let mut all = vec![
        CallError::NoModule { module: module.clone() },
        CallError::NoExport { module: module.clone(), export: "show".into(), generation: 1 },
        CallError::GateTimeout { module: module.clone(), waited },
        CallError::Suspended { module: module.clone() },
        CallError::Cancelled { module: module.clone() },
        CallError::BadValue { module, reason: "why".into() },
        CallError::Stopped,
    ];
    all.extend(script_failures().into_iter().map(CallError::Script));
    all
}

fn failed(kind: ReloadErrorKind, outcome: Outcome) -> ReloadError {
    let report = Report {
        reload: 1,
        outcome,
        generation: 1,
        modules: Vec::new(),
        phases: Vec::new(),
        pause: Duration::ZERO,
        warnings: Vec::new(),
        rolled_back: Vec::new(),
    };
    ReloadError { kind: Box::new(kind), phase: Phase::Plan, report: Box::new(report), left: Vec::new() }
}

/// Every code of the core with whether it may be tried again.
fn of_core() -> Vec<(String, bool)> {
    let load = |error| ReloadErrorKind::Load { module: "web".into(), error };
    let reloads = reload_failures().into_iter().chain(script_failures().into_iter().map(load));
    let reloads = reloads.map(|kind| failed(kind, Outcome::Refused));
    let reloads = reloads.map(|error| (error.code().to_string(), error.is_retryable()));
    let calls = call_failures().into_iter().map(|error| (error.code().to_string(), error.is_retryable()));
    let roles = role_failures().into_iter().map(|error| (error.code().to_string(), error.is_retryable()));
    reloads.chain(calls).chain(roles).collect()
}

#[test]
fn obs_04_what_is_documented_as_retryable_is() {
    let documented = documented();
    for (code, retryable) in of_core() {
        let section = documented.get(&code).unwrap_or_else(|| panic!("{code} is not documented"));
        let said = field(section, "Retryable").unwrap_or_default();
        assert_eq!(said, if retryable { "yes." } else { "no." }, "docs/errors.md, {code}");
    }
}

/// The other half of the test above: a code of the core that is built nowhere in it would not be looked at.
#[test]
fn obs_04_every_code_of_the_core_is_looked_at() {
    let known: BTreeSet<String> = of_core().into_iter().map(|(code, _)| code).collect();
    let core = in_sources().into_iter().filter(|(_, place)| place.starts_with("graceful-core/"));
    let missing: Vec<String> =
        core.map(|(code, _)| code).filter(|code| !known.contains(code) && code != "GR0100").collect();
    assert!(missing.is_empty(), "build these in this file: {}", missing.join(", "));
}

#[test]
fn obs_04_one_code_has_one_cause() {
    let mut seen = BTreeSet::new();
    for error in reload_failures() {
        assert!(seen.insert(error.code()), "{} is used twice", error.code());
    }
    for error in role_failures() {
        assert!(seen.insert(error.code()), "{} is used twice", error.code());
    }
    for error in call_failures() {
        assert!(seen.insert(error.code()), "{} is used twice", error.code());
    }
}

#[test]
fn tx_06_a_failure_whose_undo_failed_has_a_code_of_its_own() {
    let stuck = failed(ReloadErrorKind::Busy, Outcome::Stuck);
    assert!(stuck.is_stuck());
    assert_eq!(stuck.code().to_string(), "GR0100");
    assert!(!failed(ReloadErrorKind::Busy, Outcome::RolledBack).is_stuck());
}

/// Errors are put behind one another with a colon, so each is a fragment: no capital letter, no full stop.
#[test]
fn messages_are_fragments() {
    let reloads = reload_failures().into_iter().map(|error| error.to_string());
    let calls = call_failures().into_iter().map(|error| error.to_string());
    let roles = role_failures().into_iter().map(|error| error.to_string());
    for message in reloads.chain(calls).chain(roles) {
        let first = message.chars().next().unwrap();
        assert!(!first.is_uppercase() && !message.ends_with('.'), "{message}");
    }
}

#[test]
fn obs_04_a_script_s_failure_shows_its_place() {
    let error =
        ScriptError::runtime("boom").at(Place::new("web.lua", 3, 7)).with_source(b"a\nb\nerror('boom')\n");
    assert_eq!(error.to_string(), "web.lua:3:7: boom");
    assert_eq!(error.source_line.as_deref(), Some("error('boom')"));
}
