//! The arguments of a function of roles, read and checked one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Function;
use crate::asked::check;
use crate::near::{meant, nearest};
use crate::role::{InstanceState, RoleError};
use crate::role_set::Enabled;
use crate::source::Name;
use crate::value::Value;

/// The options of `apply_config` and `validate_config`.
const OPTIONS: [&str; 2] = ["is_master", "roles"];

/// The longest that `wait_for` waits.
const LONGEST: Duration = Duration::from_secs(31_536_000);

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
        if let Err(reason) = check(function.as_str(), options.keys().map(String::as_str), &OPTIONS) {
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
