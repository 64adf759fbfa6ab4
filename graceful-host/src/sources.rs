//! The app folder as the texts of its modules: name to file, file to name, one reading per reload.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use graceful_core::source::{Found, SourceError};
use graceful_core::{Backend, Name, Source, Sources};

/// How often a file that is being written is looked at again, and how old its last write must be.
const READS: u32 = 50;
const QUIET: Duration = Duration::from_millis(20);

/// One language's file extension.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Extension {
    backend: String,
    extension: String,
}

/// The modules of one folder: `a.b` is `a/b.lua` or the package `a/b/init.lua`, whichever is there, for the
/// extensions of every backend.
#[derive(Clone, Debug)]
pub struct DirSources {
    root: PathBuf,
    extensions: Vec<Extension>,
}

impl DirSources {
    /// The modules of `root` that `backends` can load.
    pub fn new<'a>(root: impl Into<PathBuf>, backends: impl IntoIterator<Item = &'a dyn Backend>) -> Self {
        let extensions = backends.into_iter().flat_map(|backend| {
            let extension = |extension: &&str| Extension {
                backend: backend.name().to_owned(),
                extension: (*extension).to_owned(),
            };
            backend.extensions().iter().map(extension).collect::<Vec<_>>()
        });
        Self { root: root.into(), extensions: extensions.collect() }
    }

    /// The same without backends: language and extension in pairs.
    #[cfg(test)]
    pub(crate) fn with_extensions(root: &Path, extensions: &[(&str, &str)]) -> Self {
        let extension = |(backend, extension): &(&str, &str)| Extension {
            backend: (*backend).to_owned(),
            extension: (*extension).to_owned(),
        };
        Self { root: root.to_owned(), extensions: extensions.iter().map(extension).collect() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The module that the file at `path`, relative to the folder, holds.
    pub fn name_of(&self, path: &Path) -> Option<Name> {
        let extension = path.extension()?.to_str()?;
        self.extensions.iter().find(|known| known.extension == extension)?;
        let mut segments = Vec::new();
        for component in path.with_extension("").components() {
            match component {
                Component::Normal(segment) => segments.push(segment.to_str()?.to_owned()),
                _ => return None,
            }
        }
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "init") {
            segments.pop();
        }
        if segments.iter().any(|segment| segment.contains('.')) {
            None
        } else {
            Some(segments.join(".").into())
        }
    }

    /// Every place a module may stand at, with the backend that would load it, relative to the folder.
    fn candidates(&self, name: &str) -> Result<Vec<(PathBuf, &str)>, String> {
        let segments: Vec<&str> = name.split('.').collect();
        // One spelling for one file, or it would be two modules with two states.
        if name.contains('/') {
            return Err(format!(
                "a folder is spelled with a dot: `{}`",
                name.trim_matches('/').replace('/', ".")
            ));
        }
        if segments.iter().any(|segment| segment.is_empty() || segment.contains(['\\', '\0', ':'])) {
            return Err(format!(
                "`{name}` is not a module name: expected names joined by dots, such as `lib.prices`"
            ));
        }
        let stem: PathBuf = segments.iter().collect();
        let plain = self.extensions.iter().map(|e| (with_extension(&stem, &e.extension), e.backend.as_str()));
        let package = self
            .extensions
            .iter()
            .map(|e| (stem.join(with_extension(Path::new("init"), &e.extension)), e.backend.as_str()));
        Ok(plain.chain(package).collect())
    }
}

impl Sources for DirSources {
    fn find(&self, name: &Name) -> Result<Found, SourceError> {
        let unreadable = |reason: String| SourceError { module: name.to_string(), reason };
        let candidates = self.candidates(name).map_err(unreadable)?;
        let mut there = Vec::new();
        for candidate in &candidates {
            match is_source(&self.root.join(&candidate.0)) {
                Ok(true) => there.push(candidate),
                Ok(false) => {}
                Err(reason) => return Err(unreadable(format!("{}: {reason}", candidate.0.display()))),
            }
        }
        match there[..] {
            [] => {
                let searched = candidates.iter().map(|(path, _)| path.display().to_string());
                Ok(Found::Missing { searched: searched.collect() })
            }
            [(path, backend)] => {
                let text = read_settled(&self.root.join(path), QUIET);
                let text = text.map_err(|error| unreadable(format!("{}: {error}", path.display())))?;
                Ok(Found::Source(Source::new(name.clone(), *backend, path.display().to_string(), text)))
            }
            _ => {
                let files: Vec<_> = there.iter().map(|(path, _)| format!("`{}`", path.display())).collect();
                Err(unreadable(format!("{} are both module `{name}`: keep one", files.join(" and "))))
            }
        }
    }
}

/// Whether a file is there. What is there and is no file is told, and so is what cannot be looked at.
fn is_source(path: &Path) -> Result<bool, String> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(true),
        Ok(found) if found.is_dir() => Err("a folder stands where the file of the module should".into()),
        Ok(_) => Err("it is no file".into()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
            if link { Err("the link leads to nothing".into()) } else { Ok(false) }
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Appended, not replaced: a dot inside the stem is part of it.
fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// What changes about a file when somebody writes to it or puts another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long ago it was written to; `None` if its clock runs ahead of ours.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.modified?.elapsed().ok()
    }
}

/// Reads a file once it is the same before and after the reading, and was not written to just now: a text
/// that is being written is waited for.
fn read_settled(path: &Path, quiet: Duration) -> std::io::Result<Vec<u8>> {
    for _ in 0..READS {
        let before = Stamp::of(&fs::metadata(path)?);
        if let Some(rest) = before.age().and_then(|age| quiet.checked_sub(age)) {
            std::thread::sleep(rest);
            continue;
        }
        let text = fs::read(path)?;
        if text.is_empty() {
            // Truncating shows its size before its time: an empty file with an old time may be neither.
            std::thread::sleep(quiet);
        }
        let after = fs::metadata(path)?;
        if before == Stamp::of(&after) && after.len() == text.len() as u64 {
            return Ok(text);
        }
    }
    Err(std::io::Error::other("it is being written all the time"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn sources(files: &[(&str, &str)]) -> (tempfile::TempDir, DirSources) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sources = DirSources::with_extensions(dir.path(), &[("lua", "lua"), ("rhai", "rhai")]);
        (dir, sources)
    }

    fn found(sources: &DirSources, name: &str) -> (String, String) {
        match sources.find(&name.into()).unwrap() {
            Found::Source(source) => (source.origin, source.backend),
            Found::Missing { searched } => panic!("{name} not among {searched:?}"),
        }
    }

    #[test]
    fn names_are_found_by_extension_and_as_packages() {
        let (_dir, sources) = sources(&[("web.lua", ""), ("lib/price.rhai", ""), ("lib/tax/init.lua", "")]);
        assert_eq!(found(&sources, "web"), ("web.lua".into(), "lua".into()));
        assert_eq!(found(&sources, "lib.price"), ("lib/price.rhai".into(), "rhai".into()));
        assert_eq!(found(&sources, "lib.tax"), ("lib/tax/init.lua".into(), "lua".into()));
        for (path, name) in
            [("web.lua", "web"), ("lib/price.rhai", "lib.price"), ("lib/tax/init.lua", "lib.tax")]
        {
            assert_eq!(sources.name_of(Path::new(path)).as_deref(), Some(name));
        }
        assert_eq!(sources.name_of(Path::new("notes.txt")), None);
    }

    #[test]
    fn a_missing_module_says_what_was_searched() {
        let (_dir, sources) = sources(&[]);
        let Found::Missing { searched } = sources.find(&"a.b".into()).unwrap() else { panic!() };
        assert_eq!(searched, ["a/b.lua", "a/b.rhai", "a/b/init.lua", "a/b/init.rhai"]);
    }

    #[test]
    fn what_stands_where_a_module_should_is_told() {
        let (dir, sources) = sources(&[("deep/er/x.lua", "")]);
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        fs::create_dir(dir.path().join("web.lua")).unwrap();
        link("nowhere", "gone.lua");
        link("round.lua", "round.lua");
        let told = |name: &str| sources.find(&name.into()).unwrap_err().reason;
        assert_eq!(told("web"), "web.lua: a folder stands where the file of the module should");
        assert_eq!(told("gone"), "gone.lua: the link leads to nothing");
        assert!(told("round").starts_with("round.lua: "), "{}", told("round"));
        assert!(
            matches!(sources.find(&"deep".into()), Ok(Found::Missing { .. })),
            "a folder of modules is none"
        );
    }

    #[test]
    fn two_files_for_one_name_are_both_named() {
        let (_dir, sources) = sources(&[("web.lua", ""), ("web/init.rhai", "")]);
        let error = sources.find(&"web".into()).unwrap_err().to_string();
        assert!(error.contains("`web.lua`") && error.contains("`web/init.rhai`"), "{error}");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let (_dir, sources) = sources(&[]);
        let error = sources.find(&"lib/price".into()).unwrap_err().to_string();
        assert!(error.contains("`lib.price`"), "{error}");
        for name in ["..secret", "../secret", "/etc/passwd", "a//b", "", "a."] {
            assert!(sources.find(&name.into()).is_err(), "{name}");
        }
    }

    /// The pauses between the writes are far shorter than the quiet that is asked for, so that a busy machine
    /// does not stretch one into the other.
    #[test]
    fn tx_10_a_file_that_is_being_written_is_waited_for() {
        let whole = b"return { 1, 2, 3, 4 }";
        let (dir, _) = sources(&[("web.lua", "return { 1, 2, 3, 4 }")]);
        let path = dir.path().join("web.lua");
        let done = std::sync::Arc::new(AtomicBool::new(false));
        let (writing, stop) = (path.clone(), done.clone());
        let writer = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut file = fs::File::create(&writing).unwrap();
                for part in ["return ", "{ 1, 2, 3, ", "4 }"] {
                    std::thread::sleep(Duration::from_millis(4));
                    file.write_all(part.as_bytes()).unwrap();
                }
                std::thread::sleep(Duration::from_millis(400));
            }
        });
        let begun = std::time::Instant::now();
        let (mut read, mut half) = (0, 0);
        while begun.elapsed() < Duration::from_secs(2) {
            half += usize::from(fs::read(&path).unwrap() != whole);
            let text = read_settled(&path, Duration::from_millis(150)).unwrap();
            assert_eq!(text, whole, "{:?}", String::from_utf8_lossy(&text));
            read += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(
            read > 20 && half > 0,
            "{read} read, {half} seen half written by a reader that does not wait"
        );
    }
}
