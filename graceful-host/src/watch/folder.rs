//! The folder as it was last seen, by content: what is different now.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use graceful_core::source::Hash;

use crate::app::MANIFEST;
use crate::sources::{DirSources, Stamp};

/// A stamp that is younger than this when it is taken may hide a further change.
const TRUSTED_AGE: Duration = Duration::from_millis(50);

struct Seen {
    /// `None` if it was too young to be trusted.
    stamp: Option<Stamp>,
    hash: Hash,
}

/// The manifest and the module files of an app, as they were last seen.
pub(crate) struct Folder {
    sources: DirSources,
    seen: BTreeMap<PathBuf, Seen>,
}

impl Folder {
    /// The folder as it is now.
    pub(crate) fn new(sources: DirSources) -> Self {
        let mut folder = Self { sources, seen: BTreeMap::new() };
        folder.look();
        folder
    }

    /// The files, relative to the folder, that came, went or have another content than at the last look.
    pub(crate) fn look(&mut self) -> BTreeSet<PathBuf> {
        let there = self.files();
        let mut different: BTreeSet<PathBuf> =
            self.seen.keys().filter(|path| !there.contains_key(*path)).cloned().collect();
        self.seen.retain(|path, _| there.contains_key(path));
        for (path, stamp) in there {
            let known = self.seen.get(&path);
            if known.is_some_and(|seen| seen.stamp == Some(stamp)) {
                continue;
            }
            // Gone again, or not to be read: the reload says so if it needs it.
            let Ok(text) = fs::read(self.sources.root().join(&path)) else { continue };
            let hash = Hash::of(&text);
            let trusted = stamp.age().is_some_and(|age| age > TRUSTED_AGE);
            if known.is_none_or(|seen| seen.hash != hash) {
                different.insert(path.clone());
            }
            self.seen.insert(path, Seen { stamp: trusted.then_some(stamp), hash });
        }
        different
    }

    /// The manifest and every file that holds a module; hidden files and folders are not looked at.
    fn files(&self) -> BTreeMap<PathBuf, Stamp> {
        let mut files = BTreeMap::new();
        let mut entered = BTreeSet::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let whole = self.sources.root().join(&folder);
            // A link may lead back to a folder that was entered already.
            if !fs::canonicalize(&whole).is_ok_and(|real| entered.insert(real)) {
                continue;
            }
            for entry in fs::read_dir(&whole).into_iter().flatten().flatten() {
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                let Ok(metadata) = fs::metadata(entry.path()) else { continue };
                let path = folder.join(entry.file_name());
                if metadata.is_dir() && !hidden {
                    folders.push(path);
                } else if metadata.is_file() && !hidden && self.counts(&path) {
                    files.insert(path, Stamp::of(&metadata));
                }
            }
        }
        files
    }

    fn counts(&self, path: &Path) -> bool {
        path == Path::new(MANIFEST) || self.sources.name_of(path).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> BTreeSet<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn only_a_different_content_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
        fs::create_dir(dir.path().join("lib")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        write("web.lua", "1");
        write("lib/a.lua", "1");
        let mut folder = Folder::new(DirSources::with_extensions(dir.path(), &[("lua", "lua")]));
        assert_eq!(folder.look(), paths(&[]));
        write("web.lua", "1");
        write("notes.txt", "1");
        write(".git/x.lua", "1");
        assert_eq!(folder.look(), paths(&[]), "touched, not a source, hidden");
        write("web.lua", "2");
        write(MANIFEST, "");
        write("lib/b.lua", "1");
        fs::remove_file(dir.path().join("lib/a.lua")).unwrap();
        assert_eq!(folder.look(), paths(&["web.lua", MANIFEST, "lib/b.lua", "lib/a.lua"]));
        assert_eq!(folder.look(), paths(&[]));
        // Same size, in the same instant.
        for n in 0..200 {
            write("web.lua", &format!("{n:03}"));
            assert_eq!(folder.look(), paths(&["web.lua"]), "{n}");
        }
    }

    #[test]
    fn a_link_that_is_turned_to_another_folder_counts() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            fs::create_dir_all(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("web.lua"), version).unwrap();
        }
        let app = dir.path().join("app");
        let turn = |to: &str| std::os::unix::fs::symlink(dir.path().join(to), &app).unwrap();
        turn("v1");
        let mut folder = Folder::new(DirSources::with_extensions(&app, &[("lua", "lua")]));
        fs::remove_file(&app).unwrap();
        turn("v2");
        assert_eq!(folder.look(), paths(&["web.lua"]));
    }
}
