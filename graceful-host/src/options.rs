//! How a host is opened: what goes before the manifest, and what an embedder adds.

use std::path::PathBuf;
use std::sync::Arc;

use graceful_core::{Name, Native, NativeCx, Observer, Role, ScriptError};

use crate::wire::{Failure, Summary};

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host is starting.
    Start,
    /// A file changed.
    Watch,
    /// SIGHUP.
    Signal,
    /// The admin socket.
    Admin,
    /// The embedder.
    Embedder,
}

impl Cause {
    /// The cause as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Start => "start",
            Cause::Watch => "watch",
            Cause::Signal => "signal",
            Cause::Admin => "admin",
            Cause::Embedder => "embedder",
        }
    }
}

/// Is told how every reload ended.
pub type OnReload = Arc<dyn Fn(Cause, &Result<Summary, Failure>) + Send + Sync>;

pub(crate) type TopLevel = Arc<dyn Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync>;

/// A native module that an embedder adds.
#[derive(Clone)]
pub(crate) struct NativeModule {
    pub(crate) name: String,
    pub(crate) requires: Vec<String>,
    pub(crate) top_level: TopLevel,
}

/// How a host is opened. What is set here goes before the manifest.
#[derive(Clone, Default)]
pub struct HostOptions {
    /// The address to serve HTTP on.
    pub listen: Option<String>,
    /// Where the admin socket is; `None` is the app's own path, see [`crate::admin_path`].
    pub admin: Option<PathBuf>,
    /// Whether there is no admin socket at all.
    pub no_admin: bool,
    /// The address to serve metrics on.
    pub metrics: Option<String>,
    /// Whether the folder is watched; `None` is what the manifest says.
    pub watch: Option<bool>,
    /// Errors are told to clients, and a start that fails is waited out.
    pub dev: bool,
    /// Is told how every reload ended.
    pub on_reload: Option<OnReload>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) natives: Vec<NativeModule>,
    pub(crate) roles: Vec<Name>,
}

impl HostOptions {
    /// Adds a module written in Rust, which scripts require by `name`; see
    /// [`graceful_core::NativeBackend::set`].
    pub fn native(
        mut self,
        name: &str,
        requires: &[&str],
        top_level: impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + 'static,
    ) -> Self {
        let requires = requires.iter().map(|name| (*name).to_owned()).collect();
        self.natives.push(NativeModule { name: name.to_owned(), requires, top_level: Arc::new(top_level) });
        self
    }

    /// Adds a role written in Rust, in a module of this name: it is registered with those of the manifest's `[roles]`.
    /// `role` makes it anew for each generation of its code.
    pub fn role<R: Role>(mut self, name: &str, role: impl Fn() -> R + Send + Sync + 'static) -> Self {
        self.roles.push(Name::from(name));
        self.native(name, &[], move |_| Ok(Native::plain().role(role())))
    }

    /// Adds a reader of the engine's events.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }
}
