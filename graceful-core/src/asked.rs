//! What scripts ask of the engine, with the options they give: read and checked in the same words for every
//! language. For authors of backends.

pub mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::near::{meant, nearest};
use crate::report::{DrainPolicy, OnBusy, ReloadOptions};
use crate::shutdown::ShutdownOptions;
use crate::source::Name;
use crate::value::Value;

/// The options of `reload` and `plan`.
pub const RELOAD: [&str; 8] =
    ["force", "changed", "load", "remove", "on_busy", "drain", "check", "forgive_before_reload"];
/// The options of `shutdown`.
pub const SHUTDOWN: [&str; 3] = ["drain", "finalize", "reload"];
/// The options of `unregister_module`.
pub const REMOVAL: [&str; 1] = ["force"];

/// `reload{force = true, changed = {'a'}, load = {'b'}, remove = {'c'}, on_busy = 'wait', drain = 'cancel', check = true,
/// forgive_before_reload = true}`.
/// A script that asks while a reload runs joins it unless it says otherwise.
///
/// # Errors
/// An unknown option, or one of another kind than wanted, in words.
pub fn reload(given: BTreeMap<String, Value>) -> Result<ReloadOptions, String> {
    let mut options = ReloadOptions { on_busy: OnBusy::Join, ..ReloadOptions::default() };
    for (key, value) in checked("reload", given, &RELOAD)? {
        match key.as_str() {
            "force" => options.force = truth("reload", &key, &value)?,
            "check" => options.check = truth("reload", &key, &value)?,
            "forgive_before_reload" => options.forgive_before_reload = truth("reload", &key, &value)?,
            "changed" => options.changed = Some(names(&key, &value)?),
            "load" => options.load = names(&key, &value)?,
            "remove" => options.remove = names(&key, &value)?,
            "on_busy" => {
                options.on_busy = match value.as_str() {
                    Some("join") => OnBusy::Join,
                    Some("wait") => OnBusy::Wait,
                    Some("refuse") => OnBusy::Refuse,
                    _ => return Err(wrong("reload", &key, "`join`, `wait` or `refuse`", &value)),
                }
            }
            _ => {
                options.drain = match value.as_str() {
                    Some("abort") => DrainPolicy::Abort,
                    Some("cancel") => DrainPolicy::Cancel,
                    _ => return Err(wrong("reload", &key, "`abort` or `cancel`", &value)),
                }
            }
        }
    }
    Ok(options)
}

/// `shutdown{drain = 5, finalize = 2, reload = 4}`, in seconds.
///
/// # Errors
/// As [`reload`].
pub fn shutdown(given: BTreeMap<String, Value>) -> Result<ShutdownOptions, String> {
    let mut options = ShutdownOptions::default();
    for (key, value) in checked("shutdown", given, &SHUTDOWN)? {
        let seconds = match &value {
            Value::Int(seconds) => Some(*seconds as f64),
            Value::Float(seconds) => Some(*seconds),
            _ => None,
        };
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let duration = Some(duration.ok_or_else(|| wrong("shutdown", &key, "a number of seconds", &value))?);
        match key.as_str() {
            "drain" => options.drain = duration,
            "finalize" => options.finalize = duration,
            _ => options.reload = duration,
        }
    }
    Ok(options)
}

/// `unregister_module(name, {force = true})`: whether it is forced.
///
/// # Errors
/// As [`reload`].
pub fn removal(given: BTreeMap<String, Value>) -> Result<bool, String> {
    let given = checked("unregister_module", given, &REMOVAL)?;
    given.into_iter().next().map_or(Ok(false), |(key, value)| truth("unregister_module", &key, &value))
}

/// Whether all of `keys` are `known` options of the function `of`. The others do this themselves; a language whose
/// values may turn out not to be plain asks first.
///
/// # Errors
/// The first that is not, and which was meant.
pub fn check<'a>(of: &str, mut keys: impl Iterator<Item = &'a str>, known: &[&str]) -> Result<(), String> {
    let Some(key) = keys.find(|key| !known.contains(key)) else { return Ok(()) };
    let near = nearest(key, known.iter().copied());
    let near = near.map_or_else(|| format!("; there are: {}", known.join(", ")), meant);
    Err(format!("{of}: unknown option `{key}`{near}"))
}

fn checked(
    of: &str,
    given: BTreeMap<String, Value>,
    known: &[&str],
) -> Result<BTreeMap<String, Value>, String> {
    check(of, given.keys().map(String::as_str), known)?;
    Ok(given)
}

fn truth(of: &str, key: &str, value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(wrong(of, key, "a boolean", other)),
    }
}

fn names(key: &str, value: &Value) -> Result<BTreeSet<Name>, String> {
    let wanted = "a list of module names";
    let Value::List(list) = value else { return Err(wrong("reload", key, wanted, value)) };
    let name = |item: &Value| item.as_str().map(Name::from).ok_or_else(|| wrong("reload", key, wanted, item));
    list.iter().map(name).collect()
}

fn wrong(of: &str, key: &str, wanted: &str, got: &Value) -> String {
    let got = got.as_str().map_or_else(|| got.kind().to_owned(), |text| format!("`{text}`"));
    format!("{of}: option `{key}` wants {wanted}, got {got}")
}
