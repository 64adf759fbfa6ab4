//! What clauses compare, and how they say what is missing.

use graceful_core::{ReloadError, Value};

use crate::scenario::because;
use crate::{FakeSubject, Subject};

/// A list of texts.
pub(super) fn words<const N: usize>(words: [&str; N]) -> Value {
    Value::List(words.into_iter().map(Value::from).collect())
}

/// Asserts that `error` says each of `parts`.
#[track_caller]
pub(super) fn says(error: &ReloadError, parts: &[&str]) {
    let text = because(error);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Compares a trace with the snapshot. Only the reference backend approves one, so that no other can rewrite
/// the contract with `INSTA_UPDATE`: the others are compared with what it approved.
#[track_caller]
pub(super) fn snapshot<S: Subject>(text: &str, approved: &str, name: &str) {
    if std::any::TypeId::of::<S>() == std::any::TypeId::of::<FakeSubject>() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        return settings.bind(|| insta::assert_snapshot!(name, text));
    }
    let body = approved.splitn(3, "---\n").nth(2).expect("a snapshot has a head and a body");
    assert_eq!(
        text.trim_end(),
        body.trim_end(),
        "the trace of `{name}` differs from the reference backend's"
    );
}

/// Asserts that these lines of `trace` stand in this order.
#[track_caller]
pub(super) fn in_order(trace: &str, lines: &[&str]) {
    let mut rest = trace.lines();
    for line in lines {
        assert!(rest.any(|found| found == *line), "`{line}` is missing, or not in its place, in\n{trace}");
    }
}
