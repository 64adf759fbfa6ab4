//! The file of the history: lines of JSON that are only added to, and now and then written anew without the oldest.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::lines::{Line, What};
use super::{KEPT, SIZE};

/// What is in the file.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) lines: Vec<Line>,
    /// How many bytes of it are whole lines. What follows was being written when the process ended, and nobody was told of it.
    pub(crate) whole: u64,
    pub(crate) warnings: Vec<String>,
}

/// Reads the file at `path`; one that is not there is empty.
pub(crate) fn read(path: &Path) -> io::Result<Found> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(error) => return Err(error),
    };
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut found = Found { whole: end as u64, ..Found::default() };
    let mut unread = 0;
    for line in bytes[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(line) => found.lines.push(line),
            Err(_) => unread += 1,
        }
    }
    if unread > 0 {
        found.warnings.push(format!("{unread} lines cannot be read"));
    }
    Ok(found)
}

/// The file, open for adding to it.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    /// What is in it.
    reloads: usize,
    size: usize,
    /// The last line may be there in part.
    torn: bool,
}

impl Log {
    /// Opens the file for adding, and says what is in it.
    ///
    /// # Errors
    /// It cannot be opened, or another process adds to it.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Found)> {
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let file = add_to(path)?;
        let found = read(path)?;
        file.set_len(found.whole)?;
        let reloads = found.lines.iter().filter(|line| is_begun(line)).count();
        let log = Self { path: path.to_owned(), file, reloads, size: found.whole as usize, torn: false };
        Ok((log, found))
    }

    /// Whether the file is still where it was opened.
    pub(crate) fn is_in_place(&self) -> bool {
        let same = |there: Metadata| self.file.metadata().is_ok_and(|own| own.ino() == there.ino());
        fs::metadata(&self.path).is_ok_and(same)
    }

    /// Adds one line, in one write: a process that is killed has written it or, at worst, a part that is cut off at the next
    /// start.
    pub(crate) fn write(&mut self, at_ms: u64, what: What) -> io::Result<()> {
        let line = Line { at_ms, what };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        if self.torn {
            text.insert(0, '\n');
        }
        self.torn = true;
        self.put(&text)?;
        self.torn = false;
        self.size += text.len();
        if is_begun(&line) {
            self.reloads += 1;
            return Ok(());
        }
        if self.reloads >= 2 * KEPT || self.size >= 2 * SIZE { self.shorten() } else { Ok(()) }
    }

    #[cfg(not(feature = "crash"))]
    fn put(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// In two parts, so that it can be killed between them.
    #[cfg(feature = "crash")]
    fn put(&mut self, text: &str) -> io::Result<()> {
        let (head, tail) = text.as_bytes().split_at(text.len() / 2);
        self.file.write_all(head)?;
        crate::crash::step("half of a line of the history");
        self.file.write_all(tail)?;
        crate::crash::step("a line of the history");
        Ok(())
    }

    /// The file, to bring it to the disk elsewhere.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Leaves the oldest reloads out. The new file takes the old one's place whole.
    fn shorten(&mut self) -> io::Result<()> {
        let text = fs::read_to_string(&self.path)?;
        let (mut from, mut at, mut reloads) = (text.len(), text.len(), 0);
        for line in text.lines().rev() {
            at -= line.len() + 1;
            if serde_json::from_str(line).is_ok_and(|line| is_begun(&line)) {
                if reloads == KEPT || (reloads > 0 && text.len() - at > SIZE) {
                    break;
                }
                reloads += 1;
                from = at;
            }
        }
        let beside = self.path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&text.as_bytes()[from..])?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)?;
        self.file = add_to(&self.path)?;
        (self.reloads, self.size) = (reloads, text.len() - from);
        Ok(())
    }
}

fn is_begun(line: &Line) -> bool {
    matches!(line.what, What::Begun { .. })
}

/// Opens the file at `path` for this process alone.
fn add_to(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            Err(io::Error::other("another host writes it: is the app running already?"))
        }
        // Not every file system can.
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::{Now, entries};
    use super::*;
    use crate::wire::ReloadEntry;

    #[test]
    fn obs_05_the_history_is_bounded_and_loses_its_oldest_reloads_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/history.jsonl");
        let mut log = Log::open(&path).unwrap().0;
        assert!(Log::open(&path).is_err(), "another host adds to it");
        let all = 2 * KEPT as u64 + 3;
        for reload in 1..=all {
            log.write(0, What::Begun { reload, run: 1, asked_by: "admin".to_owned() }).unwrap();
            log.write(0, What::Ended { report: Box::new(ReloadEntry { reload, ..ReloadEntry::default() }) })
                .unwrap();
        }
        let found = read(&path).unwrap();
        assert_eq!(Now::of(&found.lines), Now { run: 0, reload: all, unfinished: vec![], crashed: false });
        let (entries, warnings) = entries(found.lines);
        log.write(0, What::Begun { reload: all + 1, run: 1, asked_by: "x".repeat(2 * SIZE) }).unwrap();
        log.write(0, What::Interrupted { reload: all + 1 }).unwrap();
        assert_eq!(read(&path).unwrap().lines.len(), 2);
        assert!(
            (KEPT..2 * KEPT).contains(&entries.len()) && warnings.is_empty(),
            "{}, {warnings:?}",
            entries.len()
        );
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(log.is_in_place());
        assert!(Log::open(&path).is_err(), "another host adds to the shorter one");
        fs::remove_file(&path).unwrap();
        assert!(!log.is_in_place());
    }
}
