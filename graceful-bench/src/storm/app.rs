//! The app of the storm: eight modules in a folder, each with a tag that its answers show, and ways to break them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The modules that have a tag: four behind the pages, three behind the roles.
pub const MODULES: [&str; 7] = ["web", "left", "right", "leaf", "pricing", "rates", "common"];

/// The tags of all modules in one generation.
pub type Tags = [u32; MODULES.len()];

/// What the modules are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Lua, in whichever dialect this was built with.
    Lua,
    /// Rhai.
    Rhai,
    /// Every other module in the other one; which begins is drawn.
    Mixed(bool),
}

/// A way in which a reload is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// A text that does not parse.
    Syntax,
    /// A top level that throws.
    Throws,
    /// A top level that never ends.
    Spins,
    /// A require of what is not there.
    Missing,
    /// A file that is gone although others require it.
    Removed,
    /// An `after_reload` that throws.
    Hook,
    /// An `after_reload` that never ends.
    Hangs,
    /// A step of a migration that throws.
    Migration,
    /// A role that refuses the active configuration.
    Refuses,
    /// A role whose `init` throws, when the old one is stopped.
    Init,
    /// A role whose `apply_config` throws.
    Apply,
}

impl Break {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Syntax,
        Self::Throws,
        Self::Spins,
        Self::Missing,
        Self::Removed,
        Self::Hook,
        Self::Hangs,
        Self::Migration,
        Self::Refuses,
        Self::Init,
        Self::Apply,
    ];

    /// Whether a limit has to pass before it is found.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Spins | Self::Hangs)
    }

    /// The modules that it can be in.
    pub fn places(self) -> &'static [&'static str] {
        match self {
            Self::Syntax | Self::Throws | Self::Spins | Self::Missing => {
                &["web", "left", "right", "leaf", "pricing", "rates", "common", "counter"]
            }
            Self::Removed => &["left", "right", "leaf", "common"],
            Self::Hook | Self::Hangs | Self::Migration => &["counter"],
            Self::Refuses | Self::Init | Self::Apply => &["pricing", "rates"],
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Syntax | Self::Throws | Self::Spins | Self::Missing | Self::Removed => "@TOP@",
            Self::Hook | Self::Hangs => "@HOOK@",
            Self::Migration => "@MIGRATION@",
            Self::Refuses => "@VALIDATE@",
            Self::Init => "@INIT@",
            Self::Apply => "@APPLY@",
        }
    }

    fn text(self, rhai: bool) -> &'static str {
        match (self, rhai) {
            (Self::Syntax, _) => "fn ( {",
            (Self::Spins, false) => "while true do end",
            (Self::Spins, true) => "loop {}",
            (Self::Missing, false) => "require('nowhere')",
            (Self::Missing, true) => "import \"nowhere\" as nowhere;",
            (Self::Hangs, false) => "require('fiber').sleep(60)",
            (Self::Hangs, true) => "fiber::sleep(60);",
            (_, false) => "error('broken')",
            (_, true) => "throw \"broken\";",
        }
    }
}

/// The app in its folder.
pub struct App {
    dir: TempDir,
    language: Language,
    /// What the files say.
    pub tags: Tags,
    /// The version of `counter` that is live, and the one that its file says.
    pub version: (u32, u32),
    broken: Option<(&'static str, Break)>,
}

macro_rules! texts {
    ($($name:literal),*) => {
        fn template(module: &str, rhai: bool) -> &'static str {
            match (module, rhai) {
                $(
                    ($name, false) => include_str!(concat!("../../storm_app/", $name, ".lua")),
                    ($name, true) => include_str!(concat!("../../storm_app/", $name, ".rhai")),
                )*
                _ => unreachable!("there is no {module}"),
            }
        }
    };
}

texts!("web", "left", "right", "leaf", "pricing", "rates", "common", "counter");

impl App {
    /// The app in a folder of its own, whole, every tag 1.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn new(language: Language) -> std::io::Result<Self> {
        let app = Self {
            dir: tempfile::tempdir()?,
            language,
            tags: [1; MODULES.len()],
            version: (1, 1),
            broken: None,
        };
        std::fs::write(app.path().join("graceful.toml"), include_str!("../../storm_app/graceful.toml"))?;
        app.write_all()?;
        Ok(app)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes what is meant, in place of what is there.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_all(&self) -> std::io::Result<()> {
        MODULES.iter().chain(&["counter"]).try_for_each(|module| self.write(module))
    }

    /// Breaks `module`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn break_it(&mut self, module: &'static str, how: Break) -> std::io::Result<()> {
        self.broken = Some((module, how));
        self.write_all()
    }

    /// Takes back the last [`break_it`](Self::break_it), in what is meant; the files follow with
    /// [`write_all`](Self::write_all).
    pub fn mend(&mut self) {
        self.broken = None;
    }

    /// What is meant is live.
    pub fn committed(&mut self) {
        self.version.0 = self.version.1;
    }

    fn write(&self, module: &str) -> std::io::Result<()> {
        let file = self.file(module);
        let broken = self.broken.filter(|(broken, _)| *broken == module).map(|(_, how)| how);
        if broken == Some(Break::Removed) {
            return std::fs::remove_file(file);
        }
        let text = self.text(module, broken);
        if std::fs::read_to_string(&file).is_ok_and(|now| now == text) {
            return Ok(());
        }
        // Put in place at once, as careful editors do.
        let beside = file.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(beside, file)
    }

    fn text(&self, module: &str, broken: Option<Break>) -> String {
        let rhai = self.is_rhai(module);
        let mut text = template(module, rhai).to_owned();
        if let Some(how) = broken {
            text = text.replace(how.mark(), how.text(rhai));
        }
        for mark in Break::ALL.map(Break::mark) {
            text = text.replace(mark, "");
        }
        if let Some(at) = MODULES.iter().position(|name| *name == module) {
            text = text.replace("@TAG@", &self.tags[at].to_string());
        }
        text.replace("@OLD@", &(self.version.1 - 1).to_string()).replace("@NEW@", &self.version.1.to_string())
    }

    fn is_rhai(&self, module: &str) -> bool {
        let at = MODULES.iter().position(|name| *name == module).unwrap_or(MODULES.len());
        match self.language {
            Language::Lua => false,
            Language::Rhai => true,
            Language::Mixed(first) => at.is_multiple_of(2) == first,
        }
    }

    fn file(&self, module: &str) -> PathBuf {
        let extension = if self.is_rhai(module) { "rhai" } else { "lua" };
        self.path().join(format!("{module}.{extension}"))
    }
}
