//! The options of a reload, as scripts give them.

use std::collections::BTreeSet;
use std::time::Duration;

use graceful_core::{DrainPolicy, Name, OnBusy, ReloadOptions, ShutdownOptions, Value};
use mlua::Error;

use crate::near::{meant, nearest};
use crate::value::from_lua;

const KNOWN: [&str; 8] =
    ["force", "changed", "load", "remove", "on_busy", "drain", "check", "forgive_before_reload"];

/// `reload{force = true, changed = {'a'}, load = {'b'}, remove = {'c'}, on_busy = 'wait', drain = 'cancel', check = true,
/// forgive_before_reload = true}`.
/// A script that asks while a reload runs joins it unless it says otherwise.
pub(super) fn reload(given: &mlua::Value) -> mlua::Result<ReloadOptions> {
    let given = map("reload", given, &KNOWN)?;
    let mut options = ReloadOptions { on_busy: OnBusy::Join, ..ReloadOptions::default() };
    for (key, value) in given {
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
pub(super) fn shutdown(given: &mlua::Value) -> mlua::Result<ShutdownOptions> {
    let mut options = ShutdownOptions::default();
    for (key, value) in map("shutdown", given, &["drain", "finalize", "reload"])? {
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

/// `unregister_module(name, {force = true})`.
pub(super) fn removal(given: &mlua::Value) -> mlua::Result<bool> {
    let given = map("unregister_module", given, &["force"])?;
    given.into_iter().next().map_or(Ok(false), |(key, value)| truth("unregister_module", &key, &value))
}

fn map(of: &str, given: &mlua::Value, known: &[&str]) -> mlua::Result<Vec<(String, Value)>> {
    let read = from_lua(given).map_err(|reason| Error::runtime(format!("{of}: {reason}")))?;
    let map = match read {
        Value::Null => return Ok(Vec::new()),
        Value::List(list) if list.is_empty() => return Ok(Vec::new()),
        Value::Map(map) => map,
        other => {
            return Err(Error::runtime(format!("{of}: expected a table of options, got {}", other.kind())));
        }
    };
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(map.into_iter().collect()),
        Some(key) => {
            let near = nearest(key, known.iter().copied());
            let near = near.map_or_else(|| format!("; there are: {}", known.join(", ")), meant);
            Err(Error::runtime(format!("{of}: unknown option `{key}`{near}")))
        }
    }
}

fn truth(of: &str, key: &str, value: &Value) -> mlua::Result<bool> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(wrong(of, key, "a boolean", other)),
    }
}

fn names(key: &str, value: &Value) -> mlua::Result<BTreeSet<Name>> {
    let wanted = "a list of module names";
    let Value::List(list) = value else { return Err(wrong("reload", key, wanted, value)) };
    let name = |item: &Value| item.as_str().map(Name::from).ok_or_else(|| wrong("reload", key, wanted, item));
    list.iter().map(name).collect()
}

fn wrong(of: &str, key: &str, wanted: &str, got: &Value) -> Error {
    let got = got.as_str().map_or_else(|| got.kind().to_owned(), |text| format!("`{text}`"));
    Error::runtime(format!("{of}: option `{key}` wants {wanted}, got {got}"))
}
