//! The house rules, as tests over the whole workspace. Each failure says what to do.

mod repo;

use std::collections::{BTreeMap, BTreeSet};

use repo::{code, file, files, has_word, packages};

/// Source files may have this many lines, their `#[cfg(test)] mod tests` not counted.
const FILE_LINES: usize = 300;
/// Functions may have this many.
const FUNCTION_LINES: usize = 70;

/// Files that are longer, with the reason why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Files of graceful-core that use one below them, with the reason why.
const UPWARD: &[(&str, &str, &str)] = &[(
    "transaction",
    "engine",
    "the engine owns the reload that runs, and the reload asks it for its parts",
)];

/// Functions that are longer, with the reason why.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Files that may contain `unsafe`, with the reason why.
const UNSAFE_FILES: &[(&str, &str)] = &[
    (
        "graceful-lua/src/turns.rs",
        "what only a VM's lock protects is kept without one of its own, and the watch is given what runs",
    ),
    (
        "graceful-lua/src/turns/follow.rs",
        "what runs is followed from coroutine to coroutine, and its hook goes along: nothing safe does that",
    ),
    (
        "graceful-lua/src/turns/stop.rs",
        "a hook is set in a Lua that spins on another thread: nothing safe does that",
    ),
    (
        "graceful-lua/src/frame.rs",
        "`checks` reads the arguments of the function that calls it: only the library debug could, too",
    ),
    (
        "graceful-lua/src/passage.rs",
        "bytecode is loaded and exports are read inside of the one call that runs a top level: that is what a reload \
         keeps the VM with",
    ),
    (
        "graceful-lua/src/parser.rs",
        "what parsing takes lies in an arena: mlua's VMs have the allocator of the program and a collector, which is a \
         quarter of the time",
    ),
    (
        "graceful-lua/src/same.rs",
        "the globals are compared after each top level: in C it costs a third, and that is what a reload costs most",
    ),
];

/// Words that say nothing about what a file holds.
const EMPTY_WORDS: &[&str] =
    &["manager", "handler", "helper", "helpers", "util", "utils", "context", "data", "info", "processor"];

/// Fails with all of `found`, and with what to do about them.
fn none(found: Vec<String>, what_to_do: &str) {
    assert!(found.is_empty(), "\n  {}\n\n{what_to_do}\n", found.join("\n  "));
}

fn depends(package: &str, section: &str) -> BTreeSet<String> {
    let packages = packages();
    let package = packages.get(package).unwrap_or_else(|| panic!("there is no package {package}"));
    package.get(section).cloned().unwrap_or_default()
}

#[test]
fn core_knows_no_interpreter_no_runtime_and_no_other_package() {
    let foreign = |name: &String| {
        ["mlua", "rhai", "tokio", "async-std", "smol", "notify", "hyper", "axum", "tracing", "log"]
            .iter()
            .any(|word| name == word || name.starts_with(&format!("{word}-")))
            || name.starts_with("graceful")
    };
    let all = ["dependencies", "dev-dependencies", "build-dependencies"];
    let found = all.iter().flat_map(|section| depends("graceful-core", section)).filter(foreign);
    none(
        found.collect(),
        "graceful-core holds the semantics only. Give it what it needs through a trait (Backend, Sources, \
         Clock, Observer) and depend on these from an adapter or from graceful-host.",
    );
}

#[test]
fn core_reads_no_files_no_clock_and_writes_no_log() {
    let foreign =
        ["std::fs", "std::net", "std::process", "std::time::Instant", "SystemTime", "thread::sleep"];
    let printing = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let mut found = Vec::new();
    for source in files(&[".rs"]).iter().filter(|file| file.path.starts_with("graceful-core/src/")) {
        for (number, line) in code(&source.text) {
            for word in foreign.iter().chain(&printing).filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    none(
        found,
        "Files come through Sources, time and tasks through Clock, and what is to be seen goes out as an event.",
    );
}

#[test]
fn the_languages_do_not_know_each_other() {
    let mut found = Vec::new();
    for (package, other) in [("graceful-lua", "rhai"), ("graceful-rhai", "lua")] {
        for (section, names) in &packages()[package] {
            let names = names.iter().filter(|name| name.contains(other));
            found.extend(names.map(|name| format!("{package} has {name} in [{section}]")));
        }
    }
    none(found, "What both need belongs to graceful-core (the trait) or to graceful-testkit (the test).");
}

#[test]
fn the_testkit_knows_no_adapter() {
    let mut found: Vec<String> = packages()["graceful-testkit"].values().flatten().cloned().collect();
    found.retain(|name| {
        ["mlua", "rhai"].contains(&name.as_str())
            || (name.starts_with("graceful-") && name != "graceful-core")
    });
    none(found, "The testkit speaks to a Backend; the adapter's own tests bring the backend to it.");
}

#[test]
fn nothing_depends_on_the_command() {
    let users = packages()
        .into_iter()
        .filter(|(_, sections)| sections.values().any(|names| names.contains("graceful-cli")));
    none(
        users.map(|(package, _)| package).collect(),
        "Move what is needed from graceful-cli to graceful-host.",
    );
}

#[test]
fn only_tests_depend_on_the_testkit() {
    // What proves and measures is not published, and does so with it.
    let unpublished = ["graceful-bench", "graceful-counts"];
    let published = packages().into_iter().filter(|(package, _)| !unpublished.contains(&package.as_str()));
    let users = published.filter(|(_, sections)| {
        let at =
            |section: &str| sections.get(section).is_some_and(|names| names.contains("graceful-testkit"));
        at("dependencies") || at("build-dependencies")
    });
    none(users.map(|(package, _)| package).collect(), "Move graceful-testkit to [dev-dependencies].");
}

#[test]
fn every_package_takes_lints_and_edition_from_the_workspace() {
    let mut found = Vec::new();
    for manifest in files(&["Cargo.toml"]).iter().filter(|file| file.path != "Cargo.toml") {
        for wanted in ["[lints]\nworkspace = true", "edition.workspace = true", "license.workspace = true"] {
            if !manifest.text.contains(wanted) {
                found.push(format!("{} lacks `{}`", manifest.path, wanted.replace('\n', " ")));
            }
        }
    }
    none(found, "Add it.");
}

/// The modules of graceful-core in the order of lib.rs.
fn reading_order() -> BTreeMap<String, usize> {
    let lib = file("graceful-core/src/lib.rs");
    let names = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    });
    names.enumerate().map(|(at, name)| (name, at)).collect()
}

/// What a `use crate::...;` names first: `use crate::{gate::Gate, lease::Lease}` names `gate` and `lease`.
fn imported(path: &str) -> Vec<String> {
    let first = |text: &str| {
        let name: String = text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        name
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![first(path)];
    };
    let mut names = Vec::new();
    let (mut depth, mut item) = (0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first(&std::mem::take(&mut item))),
            _ => {}
        }
        if depth == 0 && c != ',' {
            item.push(c);
        }
    }
    names.push(first(&item));
    names.retain(|name| !name.is_empty());
    names
}

/// Every `crate::...` of a file's code, with its line: imports and paths that are written out.
fn uses_of_crate(text: &str) -> Vec<(usize, String)> {
    let lines = code(text);
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        for (start, word) in line.match_indices("crate::") {
            let rest = &line[start + word.len()..];
            let mut path = rest.to_owned();
            let group = rest.starts_with('{') && !rest.contains(';');
            let more = lines[at + 1..].iter().take(if group { 40 } else { 0 });
            for (_, line) in more {
                path.push_str(line);
                if line.contains(';') {
                    break;
                }
            }
            found.extend(
                imported(path.split(';').next().unwrap_or_default()).into_iter().map(|n| (*number, n)),
            );
        }
    }
    found
}

#[test]
fn a_file_of_core_imports_only_from_files_above_it() {
    let order = reading_order();
    let mut found = Vec::new();
    for source in files(&[".rs"]) {
        let Some(path) = source.path.strip_prefix("graceful-core/src/") else { continue };
        let own = path.trim_end_matches(".rs").split('/').next().unwrap_or_default();
        let Some(here) = order.get(own) else { continue };
        for (number, name) in uses_of_crate(&source.text) {
            match order.get(&name) {
                None => {
                    found.push(format!("{}:{number}: crate::{name} is not a file of lib.rs", source.path))
                }
                Some(_) if UPWARD.iter().any(|(from, to, _)| *from == own && *to == name) => {}
                Some(there) if there > here => {
                    found.push(format!("{}:{number}: `{own}` uses `{name}`, which is below it", source.path));
                }
                Some(_) => {}
            }
        }
    }
    none(
        found,
        "The files of graceful-core are in reading order in lib.rs, and each uses only what is above it. Move \
         the thing up, pass it in, or move the `mod` line; name the file (`crate::gate::Gate`), not the crate's \
         re-export.",
    );
}

#[test]
fn every_source_begins_with_a_line_that_says_what_it_is() {
    let bare = files(&[".rs"]).into_iter().filter(|file| !file.text.starts_with("//! "));
    none(
        bare.map(|file| file.path).collect(),
        "Begin the file with `//! ` and one sentence a newcomer could repeat.",
    );
}

fn is_source(path: &str) -> bool {
    path.contains("/src/")
}

#[test]
fn sources_are_short() {
    let mut found = Vec::new();
    for source in files(&[".rs"]).iter().filter(|file| is_source(&file.path)) {
        let tests = source.text.find("\n#[cfg(test)]\nmod ").unwrap_or(source.text.len());
        let lines = source.text[..tests].lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if lines > FILE_LINES && !excused {
            found.push(format!("{}: {lines} lines", source.path));
        }
    }
    none(
        found,
        "A file has 300 lines at most, its tests not counted. Find the second subject in it and give that its \
         own file; if it truly has one subject, add it to LONG_FILES with the reason.",
    );
}

#[test]
fn the_list_of_long_files_is_not_longer_than_it_must_be() {
    let mut found = Vec::new();
    for (path, _) in LONG_FILES {
        let text = file(path);
        if text.lines().count() <= FILE_LINES {
            found.push((*path).to_owned());
        }
    }
    none(found, "These are short now: take them out of LONG_FILES.");
}

#[test]
fn functions_are_short() {
    let mut found = Vec::new();
    for source in files(&[".rs"]).iter().filter(|file| is_source(&file.path)) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let bare = line.trim_start();
            let indent = &line[..line.len() - bare.len()];
            let Some(name) = function_name(bare) else { continue };
            let close = format!("{indent}}}");
            let one_line = bare.ends_with(';') || bare.ends_with('}');
            let Some(length) = lines[at..].iter().position(|line| *line == close).filter(|_| !one_line)
            else {
                continue;
            };
            let excused = LONG_FUNCTIONS.iter().any(|(path, long, _)| *path == source.path && *long == name);
            if length + 1 > FUNCTION_LINES && !excused {
                found.push(format!("{}:{}: {name} has {} lines", source.path, at + 1, length + 1));
            }
        }
    }
    none(found, "A function has 70 lines at most: give its steps names.");
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[test]
fn no_order_hangs_on_a_hash_map() {
    let mut found = Vec::new();
    for source in files(&[".rs"]) {
        let watched = ["graceful-core/src/", "graceful-testkit/src/"];
        if !watched.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        for (number, line) in code(&source.text) {
            if has_word(line, "HashMap") || has_word(line, "HashSet") {
                found.push(format!("{}:{number}", source.path));
            }
        }
    }
    none(found, "Take BTreeMap or BTreeSet: orders, reports and traces must be the same on every run.");
}

#[test]
fn file_names_say_something() {
    let mut found = Vec::new();
    for source in files(&[".rs", ".md", ".lua", ".rhai"]) {
        let stem = source.path.rsplit_once('.').map_or(source.path.as_str(), |(stem, _)| stem);
        for word in stem.split(['/', '_', '-', '.']).filter(|word| EMPTY_WORDS.contains(word)) {
            found.push(format!("{}: {word}", source.path));
        }
    }
    none(
        found,
        "Name the file after its subject (gate, lease, scope, journal), not after the kind of code in it.",
    );
}

#[test]
fn lines_end_where_their_text_ends_and_hold_no_tabs() {
    let mut found = Vec::new();
    for source in files(&[".rs", ".md", ".toml", ".lua", ".rhai"]) {
        for (at, line) in source.text.lines().enumerate() {
            if line != line.trim_end() || line.contains('\t') {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
        if !source.text.is_empty() && !source.text.ends_with('\n') {
            found.push(format!("{}: no line end at the end", source.path));
        }
    }
    none(found, "Remove the spaces at the end of the line, and indent with spaces.");
}

#[test]
fn documents_name_no_place_of_one_machine() {
    let places = ["/work/", "/tmp/", "/home/", "/root/"].map(|place| place.to_owned());
    let mut found = Vec::new();
    for source in files(&[".rs", ".md", ".toml", ".lua", ".rhai"]) {
        for (at, line) in source.text.lines().enumerate() {
            let prose = !source.path.ends_with(".rs") || line.trim_start().starts_with("//");
            let named = places.iter().any(|place| line.contains(place.as_str()));
            if prose && named {
                found.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    none(found, "Write the path from the root of the repository, or a name the reader chooses.");
}

#[test]
fn unsafe_stands_only_in_audited_files() {
    let mut found = Vec::new();
    for source in files(&[".rs"]).iter().filter(|file| !file.path.ends_with("tests/tidy.rs")) {
        let allowed = UNSAFE_FILES.iter().any(|(path, _)| *path == source.path);
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in code(&source.text) {
            let reasoned =
                lines[number.saturating_sub(4)..number].iter().any(|line| line.contains("// SAFETY:"));
            let means = line.contains("unsafe {") || line.contains("unsafe impl");
            let other =
                line.contains("unsafe fn") || line.contains("unsafe trait") || line.contains("unsafe extern");
            if (means && !(allowed && reasoned)) || (other && !allowed) {
                found.push(format!("{}:{number}", source.path));
            }
        }
    }
    none(
        found,
        "There is a safe way, or one small audited file for it: add that to UNSAFE_FILES with the reason, and \
         write `// SAFETY:` and why it is sound above each block.",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let later = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "TODO", "XXX"];
    let mut found = Vec::new();
    for source in files(&[".rs", ".lua", ".rhai"]) {
        if source.path.ends_with("tests/tidy.rs") {
            continue;
        }
        for (at, line) in source.text.lines().enumerate() {
            for word in later.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", source.path, at + 1));
            }
        }
    }
    none(found, "Do it, or say in the documents that it is to come.");
}

#[test]
fn the_architecture_page_lists_the_files_of_core_in_reading_order() {
    let page = file("docs/architecture.md");
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let listed: Vec<&str> = listed.map(|(name, _)| name).collect();
    let mut order: Vec<(usize, String)> = reading_order().into_iter().map(|(name, at)| (at, name)).collect();
    order.sort();
    let wanted: Vec<&str> = order.iter().map(|(_, name)| name.as_str()).filter(|n| *n != "planted").collect();
    assert_eq!(listed, wanted, "bring the table in docs/architecture.md in line with lib.rs");
}

#[test]
fn every_clause_of_the_suite_is_run() {
    let mut found = Vec::new();
    let suite: Vec<_> = files(&[".rs"])
        .into_iter()
        .filter(|file| file.path.starts_with("graceful-testkit/src/conformance"))
        .collect();
    let words =
        suite.iter().flat_map(|file| file.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    words
        .filter(|word| repo::promise_of(word).is_some())
        .for_each(|word| *times.entry(word).or_default() += 1);
    for source in &suite {
        for (number, line) in code(&source.text) {
            let name = line.strip_prefix("pub fn ").and_then(|rest| rest.split(['<', '(']).next());
            let Some(name) = name.filter(|name| repo::promise_of(name).is_some()) else { continue };
            if times[name] < 2 {
                found.push(format!("{}:{number}: {name}", source.path));
            }
        }
    }
    none(found, "Add it to the list of `conformance!`: a clause that no list names is run nowhere.");
}
