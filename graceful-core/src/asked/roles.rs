//! The functions of roles as scripts call them: their names, what they are given, and what they say when they refuse.
//! The same for every language.

mod given;

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;

use crate::error::{Code, Place};
use crate::failure::{ReloadError, ReloadErrorKind};
use crate::role::{ApplyReport, RoleError};
use crate::source::Name;
use crate::value::Value;
pub(crate) use given::Given;

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident $name:literal $most:literal,)*) => {
        /// A function of roles that scripts have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Function {
            $($(#[$doc])* $variant,)*
        }

        impl Function {
            /// Every function.
            pub const ALL: &[Function] = &[$(Function::$variant),*];

            /// Its name.
            pub fn as_str(self) -> &'static str {
                match self { $(Function::$variant => $name),* }
            }

            /// How many parameters it has at most.
            pub fn parameters(self) -> usize {
                match self { $(Function::$variant => $most),* }
            }
        }
    };
}

functions! {
    /// `cfg(modules)`
    Cfg "cfg" 1,
    /// `get_all_roles()`
    GetAllRoles "get_all_roles" 0,
    /// `get_known_roles()`
    GetKnownRoles "get_known_roles" 0,
    /// `get_enabled_roles([roles])`
    GetEnabledRoles "get_enabled_roles" 1,
    /// `get_enabled_roles_without_deps([roles])`
    GetEnabledRolesWithoutDeps "get_enabled_roles_without_deps" 1,
    /// `get_role(role)`
    GetRole "get_role" 1,
    /// `get_role_dependencies(role)`
    GetRoleDependencies "get_role_dependencies" 1,
    /// `validate_config(new, [old, [options]])`
    ValidateConfig "validate_config" 3,
    /// `apply_config(conf, [options, [is_master]])`
    ApplyConfig "apply_config" 3,
    /// `before_apply_config(conf, [options, [is_master]])`: answered with what failed.
    BeforeApplyConfig "before_apply_config" 3,
    /// `on_apply_config(conf, state)`: answered with what failed.
    OnApplyConfig "on_apply_config" 2,
    /// `reload()`
    Reload "reload" 0,
    /// `stop()`
    Stop "stop" 0,
    /// `forbid_reload()`
    ForbidReload "forbid_reload" 0,
    /// `allow_reload()`
    AllowReload "allow_reload" 0,
    /// `is_reload_forbidden()`
    IsReloadForbidden "is_reload_forbidden" 0,
    /// `service_get(role)`: answered with the name of the module, whose exports the language gives.
    ServiceGet "service_get" 1,
    /// `state()`
    State "state" 0,
    /// `wait_for(state, seconds)`
    WaitFor "wait_for" 2,
    /// `keep_task(name)`
    KeepTask "keep_task" 1,
    /// `keep_global(name)`
    KeepGlobal "keep_global" 1,
}

impl Function {
    /// The function of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.as_str() == name)
    }

    /// It was called wrongly.
    pub fn wrong(self, reason: impl Into<String>) -> RoleError {
        RoleError::Use { function: self.as_str(), reason: reason.into() }
    }

    /// It was called where nothing can wait.
    pub fn cannot_wait(self) -> RoleError {
        self.wrong("it waits, and nothing can wait here")
    }
}

/// What a script is told.
pub type Told = Result<Value, Refusal>;

/// What comes of a call.
pub enum Answer {
    /// This, at once.
    Now(Told),
    /// It takes a while. Whoever waits for it is to be parked, as for a reload. It begins with the first poll, and
    /// goes on to its end then, whether or not anybody waits.
    Later(BoxFuture<'static, Told>),
}

/// Why something was refused or failed, as scripts see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The class, as the roles of Cartridge have it.
    pub class: &'static str,
    /// The stable code.
    pub code: Code,
    /// In words.
    pub message: String,
    /// The module at fault.
    pub module: Option<Name>,
    /// Where a script failed.
    pub place: Option<Place>,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// What there is besides: of a reload `phase`, `outcome` and `rolled_back`; of roles that failed `roles`.
    pub more: BTreeMap<&'static str, Value>,
}

impl Refusal {
    /// Of a reload that was asked for by `function`.
    pub fn of_reload(function: Function, error: &ReloadError) -> Self {
        let list = |texts: &[String]| Value::List(texts.iter().map(|text| text.as_str().into()).collect());
        let more = BTreeMap::from([
            ("phase", error.phase.as_str().into()),
            ("outcome", error.report.outcome.as_str().into()),
            ("rolled_back", list(&error.report.rolled_back)),
        ]);
        let retryable = error.is_retryable();
        Self { code: error.code(), retryable, more, ..Self::of_kind(function, &error.kind) }
    }

    /// The same of a reload that did not begin.
    pub fn of_kind(function: Function, kind: &ReloadErrorKind) -> Self {
        let causes = std::iter::successors(std::error::Error::source(kind), |error| error.source());
        let message = causes.fold(kind.to_string(), |text, cause| format!("{text}: {cause}"));
        let class = match kind {
            ReloadErrorKind::Role(error) => error.class(),
            _ if function == Function::Cfg => "RegisterRoleError",
            _ => "HotReloadError",
        };
        let (module, place) = (kind.module().cloned(), kind.place().cloned());
        let more = BTreeMap::new();
        Self { class, code: kind.code(), message, module, place, retryable: true, more }
    }

    /// All of it as plain data, the place as `file`, `line` and `column`.
    pub fn fields(&self) -> Value {
        let mut fields: BTreeMap<String, Value> =
            self.more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut put = |key: &str, value: Option<Value>| value.map(|value| fields.insert(key.into(), value));
        put("class", Some(self.class.into()));
        put("code", Some(self.code.to_string().into()));
        put("message", Some(self.message.as_str().into()));
        put("retryable", Some(self.retryable.into()));
        put("module", self.module.as_ref().map(|module| module.as_str().into()));
        if let Some(place) = &self.place {
            put("file", Some(place.file.as_str().into()));
            put("line", place.line.map(|line| i64::from(line).into()));
            put("column", place.column.map(|column| i64::from(column).into()));
        }
        Value::Map(fields)
    }
}

impl From<RoleError> for Refusal {
    fn from(error: RoleError) -> Self {
        let more = match &error {
            RoleError::Partly { report } => BTreeMap::from([("roles", roles(report))]),
            _ => BTreeMap::new(),
        };
        Self {
            class: error.class(),
            code: error.code(),
            message: error.to_string(),
            module: error.module().cloned(),
            place: error.place().cloned(),
            retryable: error.is_retryable(),
            more,
        }
    }
}

fn roles(report: &ApplyReport) -> Value {
    let roles = report.roles.iter().map(|role| {
        let mut fields = BTreeMap::from([
            ("role".to_owned(), Value::from(role.role.as_str())),
            ("module".to_owned(), role.module.as_str().into()),
            ("did".to_owned(), role.did.as_str().into()),
            ("running".to_owned(), role.running.into()),
        ]);
        for (key, text) in [("error", &role.error), ("code", &role.code)] {
            fields.extend(text.as_deref().map(|text| (key.to_owned(), text.into())));
        }
        Value::Map(fields)
    });
    Value::List(roles.collect())
}
