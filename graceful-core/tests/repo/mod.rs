//! The repository as the house tests read it: its files, its packages, its tests' names.
#![allow(dead_code, reason = "each house test uses its own part")]
#![allow(clippy::disallowed_methods, reason = "house tests read the repository")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub struct Text {
    /// Its path from the root, with `/` between.
    pub path: String,
    pub text: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    core.parent().expect("the packages are folders of the root").to_owned()
}

/// Every file whose name ends in one of `ends`, outside of build results, wherever cargo puts them, and hidden
/// folders.
pub fn files(ends: &[&str]) -> Vec<Text> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                // Cargo marks the folder only where it makes it itself.
                let built = name == "target" || path.join("CACHEDIR.TAG").exists();
                if !built && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if ends.iter().any(|end| name.ends_with(end))
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Text { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// One file, by its path from the root.
pub fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text without comments and without its `#[cfg(test)] mod tests`, line by line, with line numbers. Good
/// enough for house rules: it does not look inside of string literals that span lines.
pub fn code(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    let mut in_tests = false;
    let all: Vec<&str> = text.lines().collect();
    for (at, line) in all.iter().enumerate() {
        let next = all.get(at + 1).copied().unwrap_or_default();
        if *line == "#[cfg(test)]" && next.starts_with("mod ") && next.ends_with('{') {
            in_tests = true;
        }
        let bare = line.trim_start();
        if !in_tests && !bare.starts_with("//") {
            lines.push((at + 1, line.split(" // ").next().unwrap_or(line)));
        }
        if in_tests && *line == "}" {
            in_tests = false;
        }
    }
    lines
}

/// Whether `word` stands in `line` with no letter, digit or `_` next to it.
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part)
            && !line[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// What one package depends on, by section: `dependencies`, `dev-dependencies`, `build-dependencies`.
pub type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// The packages of the workspace.
pub fn packages() -> BTreeMap<String, Dependencies> {
    let manifests = files(&["Cargo.toml"]).into_iter().filter(|file| file.path != "Cargo.toml");
    manifests.map(|file| (package_name(&file), dependencies(&file.text))).collect()
}

fn package_name(manifest: &Text) -> String {
    let name = manifest.text.lines().find_map(|line| line.strip_prefix("name = "));
    name.unwrap_or_else(|| panic!("{} has no name", manifest.path)).trim_matches('"').to_owned()
}

fn dependencies(manifest: &str) -> Dependencies {
    let mut found = Dependencies::new();
    let mut section = String::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section.clear();
            for kind in ["dev-dependencies", "build-dependencies", "dependencies"] {
                if header == kind || header.ends_with(&format!(".{kind}")) {
                    section = kind.to_owned();
                    break;
                }
                if let Some((_, name)) = header.split_once(&format!("{kind}.")) {
                    found.entry(kind.to_owned()).or_default().insert(name.to_owned());
                    break;
                }
            }
        } else if !section.is_empty()
            && let Some((name, _)) = line.split_once('=')
        {
            let name = name.trim().split('.').next().unwrap_or_default().to_owned();
            found.entry(section.clone()).or_default().insert(name);
        }
    }
    found
}

/// The identifiers of the workspace's sources that look like the name of a promise's test (`tx_03_...`), with
/// the packages they stand in.
pub fn promise_tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&[".rs"]) {
        let package = file.path.split('/').next().unwrap_or_default().to_owned();
        for (_, line) in code_and_tests(&file.text) {
            for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                if promise_of(word).is_some() {
                    found.entry(word.to_owned()).or_default().insert(package.clone());
                }
            }
        }
    }
    found
}

fn code_and_tests(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// `tx_03_failed_load` belongs to `TX-03`.
pub fn promise_of(test: &str) -> Option<String> {
    let (group, rest) = test.split_once('_')?;
    let (number, sentence) = rest.split_once('_')?;
    let good = group.chars().all(|c| c.is_ascii_lowercase())
        && !group.is_empty()
        && number.len() == 2
        && number.chars().all(|c| c.is_ascii_digit())
        && !sentence.is_empty();
    good.then(|| format!("{}-{number}", group.to_uppercase()))
}
