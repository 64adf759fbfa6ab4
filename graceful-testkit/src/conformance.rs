//! The conformance suite: for each promise of the contract the clauses that show it, run on any backend.
//!
//! Each clause is a function over a [`Subject`], named by the promise's id and what it says.
//! [`conformance!`](crate::conformance!) makes one `#[test]` of each.

use graceful_core::{ReloadError, Value};

use crate::scenario::because;
use crate::{FakeSubject, Subject};

/// Ends a clause on a backend that cannot do what it needs.
macro_rules! needs {
    ($subject:ty: $($can:ident),+) => {
        let can = <$subject as $crate::Subject>::capabilities();
        $(if !can.$can {
            eprintln!("a limit of {}: {}", <$subject as $crate::Subject>::dialect().backend(), stringify!($can));
            return;
        })+
    };
}

pub mod limits;
pub mod reg;
pub mod hook;
pub mod ord;
pub mod peers;
pub mod tx;
pub mod undo;
pub mod offers;
pub mod call;
pub mod drain;
pub mod st;
pub mod scope;
pub mod told;
pub mod ver;
pub mod migrate;
pub mod migrate_undo;
pub mod shut;
pub mod role;
pub mod cfg;
pub mod sm;

mod suite;

/// One test for each named clause.
#[doc(hidden)]
#[macro_export]
macro_rules! clauses {
    ($subject:ty; $($group:ident: $($clause:ident),+;)+) => {
        $($(
            #[test]
            fn $clause() {
                $crate::conformance::$group::$clause::<$subject>();
            }
        )+)+
    };
}

/// A list of texts.
fn words<const N: usize>(words: [&str; N]) -> Value {
    Value::List(words.into_iter().map(Value::from).collect())
}

/// Asserts that `error` says each of `parts`.
#[track_caller]
fn says(error: &ReloadError, parts: &[&str]) {
    let text = because(error);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Compares a trace with the snapshot. Only the reference backend approves one, so that no other can rewrite
/// the contract with `INSTA_UPDATE`: the others are compared with what it approved.
#[track_caller]
fn snapshot<S: Subject>(text: &str, approved: &str, name: &str) {
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
fn in_order(trace: &str, lines: &[&str]) {
    let mut rest = trace.lines();
    for line in lines {
        assert!(rest.any(|found| found == *line), "`{line}` is missing, or not in its place, in\n{trace}");
    }
}
