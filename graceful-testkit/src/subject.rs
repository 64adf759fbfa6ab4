//! What a test suite is run on: one backend, and what it can do.

use std::sync::Arc;

use graceful_core::{Backend, NativeBackend};

use crate::clock::ClockKind;
use crate::dialect::Dialect;
use crate::script::Script;
use crate::sources::MemorySources;

/// A backend under test. Implemented by the author of a backend, in its tests:
///
/// ```
/// use std::sync::Arc;
/// use graceful_core::Backend;
/// use graceful_testkit::{Capabilities, Dialect, Fake, FakeBackend, Subject};
///
/// struct FakeSubject;
///
/// impl Subject for FakeSubject {
///     fn backend() -> Arc<dyn Backend> {
///         FakeBackend::new()
///     }
///     fn dialect() -> &'static dyn Dialect {
///         const { &Fake::named("fake") }
///     }
///     fn capabilities() -> Capabilities {
///         Capabilities::ALL
///     }
/// }
/// ```
pub trait Subject: 'static {
    /// A new backend, for one engine.
    fn backend() -> Arc<dyn Backend>;

    /// How scripts are written for it.
    fn dialect() -> &'static dyn Dialect;

    /// What it can do. What it cannot is a limit, to be told in its documentation.
    fn capabilities() -> Capabilities;

    /// The clock it runs on. A backend that blocks threads or measures real time needs tokio's.
    fn clock() -> ClockKind {
        ClockKind::Manual
    }

    /// How errors name the source of `module`.
    fn origin(module: &str) -> String {
        format!("{module}.{}", Self::dialect().extension())
    }

    /// Puts `script` where the engine finds its source. Only native modules are not text.
    fn write(script: &Script, shelf: &Shelf) {
        let dialect = Self::dialect();
        shelf.sources.put(&script.name, dialect.backend(), dialect.extension(), dialect.render(script));
    }
}

/// Where the sources of one app are.
#[derive(Clone)]
pub struct Shelf {
    /// The texts.
    pub sources: Arc<MemorySources>,
    /// The native modules.
    pub natives: Arc<NativeBackend>,
}

impl Shelf {
    /// Takes the source of `module` away.
    pub fn remove(&self, module: &str) {
        self.sources.remove(module);
        self.natives.remove(module);
    }
}

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a backend can do. A clause that needs what it cannot is not run on it, and says so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Capabilities {
            $($(#[$doc])* pub $name: bool,)*
        }

        impl Capabilities {
            /// What each capability needs beside it.
            const NEEDED: [(&str, &str); 11] = [
                ("classes", "registers"),
                ("registers_by_call", "registers"),
                ("options", "registers"),
                ("hooks", "registers"),
                ("migrates", "registers"),
                ("aliases", "registers"),
                ("kept_functions", "registers"),
                ("handover", "tasks"),
                ("handover", "registers"),
                ("queues", "reloads"),
                ("syntax", "texts"),
            ];

            /// What it claims without what that needs, in words.
            pub fn contradictions(&self) -> Vec<String> {
                let missing = self.missing();
                let claimed = |name: &&str| !missing.contains(name);
                let wrong = Self::NEEDED.iter().filter(|(can, needs)| claimed(can) && missing.contains(needs));
                wrong.map(|(can, needs)| format!("`{can}` needs `{needs}`")).collect()
            }

            /// Everything.
            pub const ALL: Self = Self { $($name: true),* };
            /// Only what every backend can: load a text, require, export, call.
            pub const NONE: Self = Self { $($name: false),* };

            /// What it cannot do, by name.
            pub fn missing(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name)),*];
                all.into_iter().filter(|(_, can)| !can).map(|(name, _)| name).collect()
            }
        }
    };
}

capabilities! {
    /// Modules can register themselves: version, options, state.
    registers,
    /// A module registers by a call inside its top level, with a name it gives itself.
    registers_by_call,
    /// Sources are texts: the same text again is no change.
    texts,
    /// Registered modules can have hooks.
    hooks,
    /// Registered modules can declare migrations of their state.
    migrates,
    /// Modules can be plain: loaded without registering.
    plain,
    /// A text can fail to parse, with file, line, column and source line.
    syntax,
    /// Options of a registration are checked by the backend.
    options,
    /// Global variables.
    globals,
    /// Tasks.
    tasks,
    /// A task whose handle is kept in the state is taken over by the next generation.
    handover,
    /// Anything can be put under a module's care: `own`.
    owns,
    /// Routes.
    routes,
    /// A call or a hook can wait: sleep, yield.
    waits,
    /// A top level can wait.
    waits_at_load,
    /// A call that cannot wait can be made through the blocking interface.
    blocking,
    /// A script can ask for a reload.
    reloads,
    /// A reload that a script asks for where it cannot wait is queued.
    queues,
    /// A script can unregister a module.
    unregisters,
    /// A require can stand inside a function.
    deferred,
    /// A require can have a name that is computed.
    dynamic,
    /// A top level that loops for ever is stopped.
    stops_load,
    /// A hook or a cancelled call or task that loops for ever is stopped.
    stops_loops,
    /// A top level that takes memory for ever is stopped.
    stops_memory,
    /// A script can catch what another one throws.
    catches,
    /// Two entries of the state can be the same object, and stay it.
    aliases,
    /// Functions can be kept in the state.
    kept_functions,
    /// Objects in the state have methods that follow the code.
    classes,
}
