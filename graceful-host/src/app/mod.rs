//! The app's manifest, `graceful.toml`: what to load, where to listen, how to reload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use graceful_core::{Config, DrainPolicy, Name, Value};
use toml::de::DeTable;

mod measure;
mod nearest;
mod read;

mod document;

pub use document::read_document;
pub use read::ManifestError;
use read::{Fields, Text};

/// The manifest's file name.
pub const MANIFEST: &str = "graceful.toml";

/// The languages an app may switch on.
pub const BACKENDS: [&str; 2] = ["lua", "rhai"];

/// Where the host keeps what it must remember, unless the manifest says.
const STATE_DIR: &str = ".graceful";

/// The libraries of Lua that an app may name.
#[cfg(feature = "lua54")]
pub(crate) const LIBRARIES: [&str; 8] =
    ["coroutine", "table", "io", "os", "string", "math", "package", "utf8"];
/// The libraries of LuaJIT that an app may name.
#[cfg(feature = "luajit")]
pub(crate) const LIBRARIES: [&str; 9] =
    ["coroutine", "table", "io", "os", "string", "math", "package", "bit", "jit"];

/// With less memory than this an interpreter has no room for any module.
const LEAST_MEMORY: usize = 1 << 20;

/// What `graceful.toml` says.
///
/// ```
/// use graceful_host::App;
/// let app = App::parse("graceful.toml", "name = 'shop'\nentry = 'web'\n").unwrap();
/// assert_eq!(app.entry[0].as_str(), "web");
/// let error = App::parse("graceful.toml", "name = 'shop'\nentri = 'web'\n").unwrap_err();
/// assert_eq!(error.to_string(), "graceful.toml:2:1: unknown key `entri`, did you mean `entry`?");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// The app's name.
    pub name: String,
    /// The modules that are loaded because the manifest says so, in this order.
    pub entry: Vec<Name>,
    /// The address HTTP is served on.
    pub listen: Option<String>,
    /// The languages, by name.
    pub backends: BTreeMap<String, BackendSettings>,
    /// How a reload runs.
    pub reload: ReloadSettings,
    /// What the app may use.
    pub limits: LimitSettings,
    /// How the app is looked at from outside.
    pub admin: AdminSettings,
    /// The roles, if the app has some.
    pub roles: Option<RoleSettings>,
    /// The folder of what the host keeps for the app, from the app's own folder.
    pub state_dir: PathBuf,
    /// The app's own settings: what roles are told until another configuration is applied; in an app without roles,
    /// what scripts get as module `config`.
    pub config: BTreeMap<String, Value>,
}

/// `[roles]`: which modules are roles, and which of them run until another configuration is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSettings {
    /// The modules that are registered as roles; what they depend on is registered with them.
    pub modules: Vec<Name>,
    /// The names of the roles that run, besides permanent ones and what they depend on.
    pub enabled: Vec<String>,
    /// Whether the code of roles may be reloaded.
    pub reload_allowed: bool,
    /// What roles are told as `is_master`.
    pub master: bool,
}

/// One language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendSettings {
    /// The interpreter's own libraries that scripts get; `None` is the backend's choice.
    pub libraries: Option<Vec<String>>,
}

/// `[reload]`: deadlines, what happens to calls that outlast them, and the watcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadSettings {
    /// How long one top level may run.
    pub stage: Option<Duration>,
    /// How long calls may be held: drain to commit.
    pub exclusive: Option<Duration>,
    /// How long one hook may run.
    pub hook: Option<Duration>,
    /// How long a call waits at a shut gate.
    pub call_wait: Option<Duration>,
    /// How long a reload waits for an old generation that is still held.
    pub held_wait: Option<Duration>,
    /// How long releasing what old code owned may take.
    pub retire: Option<Duration>,
    /// What happens when calls in flight outlast the drain.
    pub drain: DrainPolicy,
    /// Whether `graceful run` watches the folder too.
    pub watch: bool,
    /// How long the folder must be quiet before its changes are looked at.
    pub debounce: Option<Duration>,
}

/// `[limits]`: what the app may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// Bytes of memory of each virtual machine that can count them.
    pub memory: Option<usize>,
    /// How long Lua code may keep its virtual machine without yielding. It is cancelled then: nothing else runs
    /// there meanwhile. Half a second more than a top level or a hook may take, where it is not set.
    pub turn: Option<Duration>,
    /// Bytes of one request's body.
    pub body: Option<usize>,
    /// How long connections may take to end at shutdown.
    pub shutdown: Option<Duration>,
}

/// `[admin]`: how the app is looked at from outside, beside the admin socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address metrics are served on, for whoever can reach it.
    pub metrics: Option<String>,
}

impl App {
    /// Reads the manifest of the app in `folder`.
    ///
    /// # Errors
    /// It is not there or does not hold what it must.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(MANIFEST);
        let bytes = std::fs::read(&path).map_err(|error| {
            let text = Text { file: MANIFEST, text: "" };
            text.error(0..0, format!("cannot read {}: {error}", path.display()))
        })?;
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(MANIFEST, &text),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes());
                let text = Text { file: MANIFEST, text: &text };
                Err(text.error(valid..valid, "this is not UTF-8, and a manifest must be".to_owned()))
            }
        }
    }

    /// Reads a manifest from its text; `file` is how complaints name it.
    ///
    /// # Errors
    /// It is no TOML, a key is unknown or missing, or a value is of the wrong kind.
    pub fn parse(file: &str, text: &str) -> Result<Self, ManifestError> {
        let source = Text { file, text };
        let table = DeTable::parse(text)
            .map_err(|error| source.error(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let mut fields = Fields::new(source, table.get_ref());
        let has_roles = table.get_ref().contains_key("roles");
        let app = App {
            name: fields.string("name")?.unwrap_or_default(),
            entry: fields.strings("entry")?.unwrap_or_default().into_iter().map(Name::from).collect(),
            listen: fields.address("listen")?,
            backends: backends(fields.table("backends")?)?,
            reload: reload(fields.table("reload")?)?,
            limits: limits(fields.table("limits")?)?,
            admin: admin(fields.table("admin")?)?,
            roles: roles(fields.table("roles")?)?,
            state_dir: fields.string("state_dir")?.unwrap_or_else(|| STATE_DIR.to_owned()).into(),
            config: config(fields.table("config")?, has_roles)?,
        };
        fields.finish()?;
        let missing = if app.name.is_empty() { "name" } else { "entry" };
        if app.name.is_empty() || (app.entry.is_empty() && app.roles.is_none()) {
            let example = if missing == "name" { "name = \"shop\"" } else { "entry = [\"web\"]" };
            return Err(source.error(0..0, format!("`{missing}` is missing: say, for example, `{example}`")));
        }
        Ok(app)
    }
}

fn backends(fields: Option<Fields<'_>>) -> Result<BTreeMap<String, BackendSettings>, ManifestError> {
    let all = || BACKENDS.map(|name| (name.to_owned(), BackendSettings::default())).into();
    let Some(mut fields) = fields else { return Ok(all()) };
    let mut backends = BTreeMap::new();
    for name in BACKENDS {
        if let Some(mut settings) = fields.table(name)? {
            // Rhai's are part of its interpreter.
            let libraries = if name == "lua" { settings.words("libraries", &LIBRARIES)? } else { None };
            settings.finish()?;
            backends.insert(name.to_owned(), BackendSettings { libraries });
        }
    }
    fields.finish()?;
    Ok(if backends.is_empty() { all() } else { backends })
}

fn reload(fields: Option<Fields<'_>>) -> Result<ReloadSettings, ManifestError> {
    let Some(mut fields) = fields else { return Ok(ReloadSettings::default()) };
    let settings = ReloadSettings {
        stage: fields.duration("stage")?,
        exclusive: fields.duration("exclusive")?,
        hook: fields.duration("hook")?,
        call_wait: fields.duration("call_wait")?,
        held_wait: fields.duration("held_wait")?,
        retire: fields.duration("retire")?,
        drain: match fields.word("drain", &["abort", "cancel"])?.as_deref() {
            Some("cancel") => DrainPolicy::Cancel,
            _ => DrainPolicy::Abort,
        },
        watch: fields.boolean("watch")?.unwrap_or_default(),
        debounce: fields.duration("debounce")?,
    };
    fields.finish()?;
    Ok(settings)
}

fn limits(fields: Option<Fields<'_>>) -> Result<LimitSettings, ManifestError> {
    let Some(mut fields) = fields else { return Ok(LimitSettings::default()) };
    let settings = LimitSettings {
        memory: fields.size_from("memory", LEAST_MEMORY, "an interpreter needs \"1MiB\" for itself")?,
        turn: fields.duration("turn")?,
        body: fields.size("body")?,
        shutdown: fields.duration("shutdown")?,
    };
    fields.finish()?;
    Ok(settings)
}

fn roles(fields: Option<Fields<'_>>) -> Result<Option<RoleSettings>, ManifestError> {
    let Some(mut fields) = fields else { return Ok(None) };
    let modules = fields.strings("modules")?.unwrap_or_default();
    let settings = RoleSettings {
        modules: modules.into_iter().map(Name::from).collect(),
        enabled: fields.strings("enabled")?.unwrap_or_default(),
        reload_allowed: fields.boolean("reload_allowed")?.unwrap_or_default(),
        master: fields.boolean("master")?.unwrap_or(true),
    };
    if settings.modules.is_empty() {
        return Err(fields.missing("modules", "modules = [\"app.router\"]"));
    }
    fields.finish()?;
    Ok(Some(settings))
}

/// The app's own settings. What roles are told has to be what can be kept.
fn config(fields: Option<Fields<'_>>, told: bool) -> Result<BTreeMap<String, Value>, ManifestError> {
    let Some(fields) = fields else { return Ok(BTreeMap::new()) };
    let config = fields.everything()?;
    if told {
        Config::new(Value::Map(config.clone())).map_err(|error| fields.unfit(&error))?;
    }
    Ok(config)
}

fn admin(fields: Option<Fields<'_>>) -> Result<AdminSettings, ManifestError> {
    let Some(mut fields) = fields else { return Ok(AdminSettings::default()) };
    let settings = AdminSettings { metrics: fields.address("metrics")? };
    fields.finish()?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        App::parse("graceful.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn cfg_05_what_roles_could_not_be_told_again_is_no_manifest() {
        let text = "name = \"shop\"\nentry = [\"web\"]\n[config.web]\nwait = inf\n";
        assert!(App::parse("graceful.toml", text).is_ok(), "module `config` may have it");
        let text = text.replace("entry", "[roles]\nmodules");
        let told = "graceful.toml:5:8: a configuration cannot hold `web.wait`: inf is no number to be kept";
        assert_eq!(complaint(&text), told);
    }

    #[test]
    fn everything_that_can_be_said_is_read() {
        let text = r#"
            name = "shop"
            entry = ["web", "jobs"]
            listen = "127.0.0.1:0"
            [backends.lua]
            libraries = ["string", "table"]
            [reload]
            stage = "250ms"
            exclusive = 2
            drain = "cancel"
            watch = true
            [limits]
            memory = "64MiB"
            [admin]
            metrics = "127.0.0.1:0"
            [roles]
            modules = ["app.router", "app.storage"]
            enabled = "router"
            reload_allowed = true
            [config]
            currency = "EUR"
            rates = { vat = 0.2, floor = 3 }
        "#;
        let app = App::parse("graceful.toml", text).unwrap();
        assert_eq!(app.entry, [Name::from("web"), Name::from("jobs")]);
        assert_eq!(app.backends.keys().collect::<Vec<_>>(), ["lua"]);
        assert_eq!(app.reload.stage, Some(Duration::from_millis(250)));
        assert_eq!(app.reload.exclusive, Some(Duration::from_secs(2)));
        assert_eq!((app.reload.drain, app.reload.watch), (DrainPolicy::Cancel, true));
        assert_eq!(app.limits.memory, Some(64 << 20));
        assert_eq!(app.admin.metrics.as_deref(), Some("127.0.0.1:0"));
        let roles = app.roles.unwrap();
        assert_eq!((roles.modules[1].as_str(), roles.enabled[0].as_str()), ("app.storage", "router"));
        assert_eq!((roles.reload_allowed, roles.master), (true, true));
        assert_eq!(app.state_dir, Path::new(".graceful"));
        assert_eq!(app.config["rates"].get("floor"), Some(&Value::Int(3)));
    }

    #[test]
    fn what_is_no_text_is_told_where() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(MANIFEST), b"name = 'a'\nentry = '\xff'\n").unwrap();
        let error = App::read(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "graceful.toml:2:10: this is not UTF-8, and a manifest must be");
    }

    #[test]
    fn complaints_have_a_place_and_a_way_out() {
        assert_eq!(
            complaint("name = 'a'\nentry = 'b'\n[reload]\n  stagee = '1s'\n"),
            "graceful.toml:4:3: unknown key `reload.stagee`, did you mean `reload.stage`?"
        );
        assert_eq!(complaint("name = 5\n"), "graceful.toml:1:8: `name` must be a string, not an integer");
        assert_eq!(
            complaint("name='a'\nentry='b'\n[reload]\ndrain = 'kill'"),
            "graceful.toml:4:9: `reload.drain`: expected \"abort\" or \"cancel\""
        );
        assert_eq!(
            complaint("name='a'\n[roles]\nmodules = 'a'\n enable = 'b'\n"),
            "graceful.toml:4:2: unknown key `roles.enable`, did you mean `roles.enabled`?"
        );
        assert_eq!(
            complaint("name='a'\n\n[roles]\nmaster = 1\n"),
            "graceful.toml:4:10: `roles.master` must be true or false, not an integer"
        );
        assert_eq!(
            complaint("name='a'\n\n[roles]\nenabled = 'b'\n"),
            "graceful.toml:3:1: `roles.modules` is missing: say, for example, `modules = [\"app.router\"]`"
        );
        assert!(complaint("name = 'a'\n").contains("`entry` is missing"));
        assert!(complaint("name = 'a\n").starts_with("graceful.toml:1:"));
        assert!(complaint("name='a'\nentry='b'\n[backends.luaa]\n").contains("did you mean `backends.lua`?"));
        assert_eq!(
            complaint("name='a'\nentry='b'\nlisten = '127.0.0.1'"),
            "graceful.toml:3:10: `listen`: `127.0.0.1` has no port: write a host and a port, such as \"127.0.0.1:8080\""
        );
        assert!(complaint("name='a'\nentry='b'\nlisten = 'x:99999'").contains("`99999` is no port"));
        assert!(complaint("name='a'\nentry='b'\n[admin]\nmetrics = '::1'").contains("`::1` has no port"));
        assert!(App::parse("t", "name='a'\nentry='b'\nlisten = '[::1]:0'").is_ok());
        assert_eq!(
            complaint("name='a'\nentry='b'\n[backends.lua]\nlibraries = ['os', 'strng']"),
            "graceful.toml:4:20: `backends.lua.libraries`: there is no `strng`, did you mean `string`?"
        );
        assert_eq!(
            complaint("name='a'\nentry='b'\n[limits]\nmemory = 10"),
            "graceful.toml:4:10: `limits.memory`: 10 bytes are too few: an interpreter needs \"1MiB\" for itself"
        );
        assert!(complaint("name='a'\nentry='b'\nsecret=1\n").contains("known here: name, entry, listen"));
    }
}
