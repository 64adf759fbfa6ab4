//! The configuration that was applied last, kept in a file: whole or not at all, whenever the process ends.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use graceful_core::source::Hash;
use graceful_core::{Config, Value};
use serde::{Deserialize, Serialize};

use crate::crash::step;

const FILE: &str = "applied.json";
const KIND: &str = "graceful applied configuration";
const VERSION: u32 = 1;

/// A configuration with what it was applied with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) config: Config,
    pub(crate) enabled: Vec<String>,
    pub(crate) opts: Value,
}

/// The file's first line; the second is what was applied.
#[derive(Serialize, Deserialize)]
struct Header {
    kind: String,
    version: u32,
    app: String,
    /// Of the second line.
    hash: String,
}

/// What is kept.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    Nothing,
    Applied(Applied),
    /// There is something that this app did not write whole. It is left as it is.
    Unusable(String),
}

/// Where it is kept.
pub(crate) struct Kept {
    folder: PathBuf,
    app: String,
}

impl Kept {
    pub(crate) fn new(folder: PathBuf, app: &str) -> Self {
        Self { folder, app: app.to_owned() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn unfinished(&self) -> PathBuf {
        self.folder.join(format!("{FILE}.new"))
    }

    /// What is there.
    pub(crate) fn find(&self) -> Found {
        let path = self.path();
        let unusable = |reason: String| Found::Unusable(format!("{} is not used: {reason}", path.display()));
        match fs::read(&path) {
            Ok(text) => self.read(&text).map_or_else(unusable, Found::Applied),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => unusable(error.to_string()),
        }
    }

    /// Whether one was being kept when the process ended. It was never told to be.
    pub(crate) fn left_unfinished(&self) -> Option<String> {
        let path = self.unfinished();
        path.exists()
            .then(|| format!("{} is not used: the host ended before it was applied and kept", path.display()))
    }

    fn read(&self, text: &[u8]) -> Result<Applied, String> {
        let foreign = || "it was not written by graceful, or not to its end".to_owned();
        let text = std::str::from_utf8(text).map_err(|_| foreign())?;
        let (header, applied) = text.split_once('\n').ok_or_else(foreign)?;
        let header: Header = serde_json::from_str(header).map_err(|_| foreign())?;
        if header.kind != KIND {
            return Err(foreign());
        }
        if header.version != VERSION {
            return Err(format!("its form is {}, and this graceful knows {VERSION}", header.version));
        }
        if header.app != self.app {
            return Err(format!("it is of app `{}`", header.app));
        }
        let applied = applied.strip_suffix('\n').ok_or_else(foreign)?;
        if header.hash != Hash::of(applied.as_bytes()).to_string() {
            return Err("it was changed, or not written to its end".to_owned());
        }
        serde_json::from_str(applied).map_err(|error| error.to_string())
    }

    /// Keeps `applied` in place of what was kept: what is not usable there is set aside. When this returns it
    /// outlives the machine's end.
    pub(crate) fn put(&self, applied: &Applied) -> io::Result<()> {
        storable(applied.config.document())
            .and_then(|()| storable(&applied.opts))
            .map_err(io::Error::other)?;
        let text = serde_json::to_string(applied)?;
        let hash = Hash::of(text.as_bytes()).to_string();
        let header = Header { kind: KIND.to_owned(), version: VERSION, app: self.app.clone(), hash };
        let text = format!("{}\n{text}\n", serde_json::to_string(&header)?);
        if !self.folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let above = self.folder.parent().filter(|above| !above.as_os_str().is_empty());
            sync(above.unwrap_or(Path::new(".")))?;
        }
        let beside = self.unfinished();
        if let Err(error) = write_whole(&beside, &text) {
            // On a full disk it would be in the way.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        if matches!(self.find(), Found::Unusable(_)) {
            self.set_aside()?;
        }
        fs::rename(&beside, self.path())?;
        step("the configuration is in its place");
        sync(&self.folder)
    }

    /// Forgets what is kept: the next start takes the manifest's.
    pub(crate) fn forget(&self) -> io::Result<()> {
        match self.find() {
            Found::Nothing => return Ok(()),
            Found::Applied(_) => fs::remove_file(self.path())?,
            Found::Unusable(_) => drop(self.set_aside()?),
        }
        sync(&self.folder)
    }

    /// Puts what is there under another name, which it returns.
    pub(crate) fn set_aside(&self) -> io::Result<Option<PathBuf>> {
        let path = self.path();
        if !fs::exists(&path)? {
            return Ok(None);
        }
        let names = (1..).map(|n| self.folder.join(format!("{FILE}.unused-{n}")));
        let aside = names.into_iter().find(|name| !fs::exists(name).unwrap_or(true));
        let aside = aside.ok_or_else(|| io::Error::other("no name is free to set it aside"))?;
        fs::rename(&path, &aside)?;
        sync(&self.folder)?;
        Ok(Some(aside))
    }
}

/// When this returns it is on the disk.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let (head, tail) = text.as_bytes().split_at(text.len() / 2);
    file.write_all(head)?;
    step("half of the configuration is written");
    file.write_all(tail)?;
    step("the configuration is written");
    file.sync_all()?;
    step("the configuration is on disk");
    Ok(())
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// JSON has no bytes, no infinity and nothing that is no number.
fn storable(value: &Value) -> Result<(), String> {
    match value {
        Value::Float(number) if !number.is_finite() => Err(format!("{number} cannot be kept as JSON")),
        Value::Bytes(_) => Err("a text that is not UTF-8 cannot be kept as JSON".to_owned()),
        Value::List(items) => items.iter().try_for_each(storable),
        Value::Map(entries) => entries.values().try_for_each(storable),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(port: f64) -> Applied {
        let document = Value::Map([("web".to_owned(), Value::Float(port))].into());
        Applied { config: Config::new(document).unwrap(), enabled: vec!["web".into()], opts: Value::map() }
    }

    #[test]
    fn cfg_05_what_is_kept_comes_back_the_same_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().join("a/b"), "shop");
        assert_eq!(kept.find(), Found::Nothing);
        for number in [0.1 + 0.2, 1.0, 5e-324, 1.797e308] {
            kept.put(&applied(number)).unwrap();
            assert_eq!(kept.find(), Found::Applied(applied(number)));
        }
        assert_eq!(fs::metadata(kept.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(kept.put(&Applied { opts: f64::NAN.into(), ..applied(1.0) }).is_err());
        assert_eq!(kept.find(), Found::Applied(applied(1.797e308)));
        assert_eq!(kept.left_unfinished(), None);
        kept.forget().unwrap();
        assert_eq!(kept.find(), Found::Nothing);
    }

    #[test]
    fn cfg_05_half_a_file_and_a_foreign_one_are_told_not_used_and_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().to_owned(), "shop");
        kept.put(&applied(80.0)).unwrap();
        let whole = fs::read(kept.path()).unwrap();
        for length in 0..whole.len() {
            fs::write(kept.path(), &whole[..length]).unwrap();
            assert!(matches!(kept.find(), Found::Unusable(_)), "{length} of {}", whole.len());
        }
        let other = Kept::new(dir.path().to_owned(), "bakery");
        fs::write(kept.path(), &whole).unwrap();
        assert!(matches!(other.find(), Found::Unusable(told) if told.contains("of app `shop`")));
        for text in ["{\"mine\": true}\n", "notes", "{\"mine\": true}"] {
            fs::write(kept.path(), text).unwrap();
            assert!(matches!(kept.find(), Found::Unusable(_)), "{text}");
            kept.put(&applied(81.0)).unwrap();
            assert_eq!(kept.find(), Found::Applied(applied(81.0)));
        }
        let mut aside: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .filter_map(|file| fs::read_to_string(file.unwrap().path()).ok())
            .filter(|text| !text.contains(KIND))
            .collect();
        aside.sort();
        assert_eq!(aside, ["notes", "{\"mine\": true}", "{\"mine\": true}\n"]);
    }

    #[test]
    fn cfg_05_no_text_breaks_the_reader() {
        use graceful_testkit::fuzz::Fuzz;
        let told = std::env::var("GRACEFUL_INPUTS").ok().and_then(|inputs| inputs.parse().ok());
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path().to_owned(), "shop");
        kept.put(&applied(80.0)).unwrap();
        let whole = fs::read_to_string(kept.path()).unwrap();
        let (header, applied) = whole.split_once('\n').unwrap();
        let hash = serde_json::from_str::<Header>(header).unwrap().hash;
        let read = |input: &[u8]| drop(kept.read(input));
        Fuzz::of([&whole]).run(told.unwrap_or(2_000), read).assert();
        // Past the hash: whoever can write the file can write that.
        let signed = |input: &[u8]| {
            let header = header.replace(&hash, &Hash::of(input).to_string());
            read(&[header.as_bytes(), b"\n", input, b"\n"].concat());
        };
        Fuzz::of([applied.trim_end()]).run(told.unwrap_or(2_000), signed).assert();
    }
}
