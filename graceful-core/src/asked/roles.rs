//! The functions of roles as scripts call them: their names, what they are given, and what they say when they refuse.
//! The same for every language.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::{Code, Place};
use crate::failure::{ReloadError, ReloadErrorKind};
use crate::near::{meant, nearest};
use crate::role::{ApplyReport, InstanceState, RoleError};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::value::Value;

/// The options of `apply_config` and `validate_config`.
pub const OPTIONS: [&str; 2] = ["is_master", "roles"];

/// The longest that `wait_for` waits.
const LONGEST: Duration = Duration::from_secs(31_536_000);

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

/// The arguments of one call.
pub(crate) struct Given {
    function: Function,
    args: std::vec::IntoIter<Value>,
}

impl Given {
    pub(crate) fn new(function: Function, args: Vec<Value>) -> Self {
        Self { function, args: args.into_iter() }
    }

    pub(crate) fn next(&mut self) -> Value {
        self.args.next().unwrap_or_default()
    }

    fn expected(&self, wanted: &str, got: &Value) -> RoleError {
        let got = match got {
            Value::Null => "nothing",
            other => other.kind(),
        };
        self.function.wrong(format!("expected {wanted}, got {got}"))
    }

    /// A name of something.
    pub(crate) fn name(&mut self, of: &str) -> Result<String, RoleError> {
        match self.next() {
            Value::Str(name) if !name.is_empty() => Ok(name),
            other => Err(self.expected(of, &other)),
        }
    }

    /// Names of modules.
    pub(crate) fn modules(&mut self) -> Result<Vec<Name>, RoleError> {
        let wanted = "a list of names of modules";
        let given = self.next();
        let Value::List(list) = &given else { return Err(self.expected(wanted, &given)) };
        let name = |item: &Value| match item {
            Value::Str(name) if !name.is_empty() => Ok(Name::from(name.as_str())),
            other => Err(self.function.wrong(format!("expected {wanted}, got one that holds `{other}`"))),
        };
        list.iter().map(name).collect()
    }

    /// A configuration, which has to be there.
    pub(crate) fn document(&mut self) -> Result<Value, RoleError> {
        match self.next() {
            Value::Null => Err(self.expected("a configuration", &Value::Null)),
            document => Ok(document),
        }
    }

    /// A state, by its name.
    pub(crate) fn state(&mut self) -> Result<InstanceState, RoleError> {
        let name = self.name("the name of a state")?;
        InstanceState::from_name(&name).ok_or_else(|| {
            let near = nearest(&name, InstanceState::ALL.into_iter().map(InstanceState::as_str));
            self.function.wrong(format!("there is no state `{name}`{}", near.map(meant).unwrap_or_default()))
        })
    }

    /// A number of seconds.
    pub(crate) fn seconds(&mut self) -> Result<Duration, RoleError> {
        let given = self.next();
        let seconds = match given {
            Value::Int(seconds) => Some(seconds as f64),
            Value::Float(seconds) => Some(seconds),
            _ => None,
        };
        let wanted = "a number of seconds";
        let seconds = seconds.ok_or_else(|| self.expected(wanted, &given))?;
        if seconds.is_nan() || seconds < 0.0 {
            return Err(self.function.wrong(format!("expected {wanted}, got {given}")));
        }
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
    }

    /// `{roles = .., is_master = ..}` and, after it, `is_master` on its own: which roles, and what callbacks are told.
    pub(crate) fn options(&mut self) -> Result<(Option<Enabled>, Value), RoleError> {
        let function = self.function;
        let options = match self.next() {
            Value::Map(options) => options,
            Value::Null => BTreeMap::new(),
            Value::List(list) if list.is_empty() => BTreeMap::new(),
            other => return Err(self.expected("a table of options", &other)),
        };
        if let Err(reason) = super::check(function.as_str(), options.keys().map(String::as_str), &OPTIONS) {
            let reason = reason.strip_prefix(&format!("{function}: ", function = function.as_str()));
            return Err(function.wrong(reason.unwrap_or("an unknown option")));
        }
        let enabled = options.get("roles").filter(|roles| **roles != Value::Null);
        let enabled = enabled.map(Enabled::from_value).transpose()?;
        let flag = |value: Value| match value {
            Value::Null => Ok(None),
            Value::Bool(on) => Ok(Some(on)),
            other => Err(function.wrong(format!("`is_master` is a boolean, got {}", other.kind()))),
        };
        let option = flag(options.get("is_master").cloned().unwrap_or_default())?;
        let last = flag(self.next())?;
        if let (Some(option), Some(last)) = (option, last)
            && option != last
        {
            let twice = format!("`is_master` is given twice, as {option} and as {last}");
            return Err(function.wrong(twice));
        }
        let is_master = option.or(last).unwrap_or(false);
        Ok((enabled, Value::Map(BTreeMap::from([("is_master".to_owned(), is_master.into())]))))
    }
}
