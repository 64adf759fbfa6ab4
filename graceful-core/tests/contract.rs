//! The promises of docs/contract.md: each names tests, and those tests exist.
//!
//! After a test was added, renamed or removed, let this write the names anew:
//! `GRACEFUL_BLESS=1 cargo test -p graceful-core --test contract`.

mod repo;

use std::collections::{BTreeMap, BTreeSet};

use repo::{promise_of, promise_tests};

const PAGE: &str = "docs/contract.md";
const HELD: &str = "Held by: ";

/// Whether this line begins the section of a promise, and of which.
fn heading(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("### ")?.split_once(' ')?;
    promise_of(&format!("{}_x", id.to_lowercase().replace('-', "_"))).map(|_| id)
}

/// The promises of the page, with the tests that it names for each.
fn page() -> BTreeMap<String, Vec<String>> {
    let mut promises = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in repo::file(PAGE).lines() {
        if line.starts_with('#') {
            current = heading(line).map(str::to_owned);
            if let Some(id) = &current {
                let double = promises.insert(id.clone(), Vec::new());
                assert!(double.is_none(), "{PAGE}: {id} stands there twice");
            }
        } else if let (Some(id), Some(names)) = (&current, line.strip_prefix(HELD)) {
            let named = names.split('`').skip(1).step_by(2).map(str::to_owned);
            promises.get_mut(id).expect("just inserted").extend(named);
        }
    }
    promises
}

/// The promises that are listed as not kept yet.
fn to_come() -> BTreeSet<String> {
    let text = repo::file(PAGE);
    let (_, section) = text.split_once("\n## To come\n").expect("the page ends with what is to come");
    let ids = section.lines().filter_map(|line| line.strip_prefix("- **")?.split_once("**"));
    ids.map(|(id, _)| id.to_owned()).collect()
}

/// The tests of the workspace, by promise, with the packages they stand in.
fn tests() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut by_promise: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (name, packages) in promise_tests() {
        let id = promise_of(&name).expect("only tests of promises are found");
        by_promise.entry(id).or_default().insert(name, packages);
    }
    by_promise
}

/// A test of the testkit runs on every backend; others say where they are.
fn line_of(tests: &BTreeMap<String, BTreeSet<String>>) -> String {
    let names = tests.iter().map(|(name, packages)| {
        let package = |short: &str| packages.contains(&format!("graceful-{short}"));
        if package("testkit") {
            return format!("`{name}`");
        }
        let places: Vec<&str> =
            packages.iter().map(|package| package.trim_start_matches("graceful-")).collect();
        format!("`{name}` ({})", places.join(", "))
    });
    format!("{HELD}{}", names.collect::<Vec<_>>().join(", "))
}

fn bless() {
    let tests = tests();
    let mut lines: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    let text = repo::file(PAGE);
    let close = |open: &mut Option<String>, lines: &mut Vec<String>| {
        if let Some(held) = open.take().and_then(|id| tests.get(&id)).map(line_of) {
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            lines.extend([String::new(), held, String::new()]);
        }
    };
    for line in text.lines().filter(|line| !line.starts_with(HELD)) {
        if line.starts_with('#') {
            close(&mut open, &mut lines);
            open = heading(line).map(str::to_owned);
        }
        if !(line.is_empty() && lines.last().is_some_and(String::is_empty)) {
            lines.push(line.to_owned());
        }
    }
    close(&mut open, &mut lines);
    let text = lines.join("\n").trim_end().to_owned() + "\n";
    std::fs::write(repo::root().join(PAGE), text).expect("the page can be written");
}

#[test]
fn every_promise_names_tests_that_exist() {
    if std::env::var_os("GRACEFUL_BLESS").is_some() {
        bless();
    }
    let tests = tests();
    let mut wrong = Vec::new();
    for (id, named) in page() {
        if named.is_empty() {
            wrong.push(format!("{id} names no test"));
        }
        for name in named {
            if !tests.get(&id).is_some_and(|known| known.contains_key(&name)) {
                wrong.push(format!("{id} names `{name}`, which does not exist"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "\n  {}\n\nWrite the missing test, or run `GRACEFUL_BLESS=1 cargo test -p graceful-core --test contract` \
         if one was renamed.\n",
        wrong.join("\n  ")
    );
}

#[test]
fn a_promise_is_kept_or_to_come_and_not_both() {
    let (kept, to_come): (BTreeSet<String>, _) = (page().into_keys().collect(), to_come());
    let both: Vec<&String> = kept.intersection(&to_come).collect();
    assert!(both.is_empty(), "{PAGE}: {both:?} stand under \"To come\" and have a section");
    let unknown: Vec<String> =
        tests().into_keys().filter(|id| !kept.contains(id) && !to_come.contains(id)).collect();
    assert!(unknown.is_empty(), "tests are named after promises that {PAGE} does not have: {unknown:?}");
}

#[test]
fn a_test_s_name_gives_its_promise() {
    assert_eq!(promise_of("tx_03_a_failing_top_level").as_deref(), Some("TX-03"));
    for other in ["tx_03_", "tx_3_a", "tx_100_a", "Tx_03_a", "_03_a", "scope"] {
        assert_eq!(promise_of(other), None, "{other}");
    }
}
