//! The options of a reload, as scripts give them.

use std::collections::BTreeSet;
use std::time::Duration;

use graceful_core::{DrainPolicy, Name, OnBusy, ReloadOptions, ShutdownOptions, Value};
use rhai::{Dynamic, Map};

use crate::failure::{Thrown, thrown};
use crate::near::nearest;
use crate::value::to_value;

const KNOWN: [&str; 8] =
    ["force", "changed", "load", "remove", "on_busy", "drain", "check", "forgive_before_reload"];

/// `reload(#{ force: true, changed: ["a"], load: ["b"], remove: ["c"], on_busy: "wait", drain: "cancel", check: true,
/// forgive_before_reload: true })`.
/// A script that asks while a reload runs joins it unless it says otherwise.
pub(crate) fn reload(given: &Map) -> Thrown<ReloadOptions> {
    let mut options = ReloadOptions { on_busy: OnBusy::Join, ..ReloadOptions::default() };
    for (key, value) in read("reload", given, &KNOWN)? {
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

/// `shutdown(#{ drain: 5, finalize: 2, reload: 4 })`, in seconds.
pub(crate) fn shutdown(given: &Map) -> Thrown<ShutdownOptions> {
    let mut options = ShutdownOptions::default();
    for (key, value) in read("shutdown", given, &["drain", "finalize", "reload"])? {
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

/// `unregister_module(name, #{ force: true })`.
pub(crate) fn removal(given: &Map) -> Thrown<bool> {
    let of = "unregister_module";
    let read = read(of, given, &["force"])?;
    read.into_iter().next().map_or(Ok(false), |(key, value)| truth(of, &key, &value))
}

fn read(of: &str, given: &Map, known: &[&str]) -> Thrown<Vec<(String, Value)>> {
    if let Some(key) = given.keys().find(|key| !known.contains(&key.as_str())) {
        let near = nearest(key, known.iter().copied()).map(|known| format!(", did you mean `{known}`?"));
        let near = near.unwrap_or_else(|| format!("; there are: {}", known.join(", ")));
        return Err(thrown(format!("{of}: unknown option `{key}`{near}")));
    }
    let plain = |value: &Dynamic| to_value(value).map_err(|reason| thrown(format!("{of}: {reason}")));
    given.iter().map(|(key, value)| Ok((key.to_string(), plain(value)?))).collect()
}

fn truth(of: &str, key: &str, value: &Value) -> Thrown<bool> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(wrong(of, key, "a boolean", other)),
    }
}

fn names(key: &str, value: &Value) -> Thrown<BTreeSet<Name>> {
    let wanted = "a list of module names";
    let Value::List(list) = value else { return Err(wrong("reload", key, wanted, value)) };
    let name = |item: &Value| item.as_str().map(Name::from).ok_or_else(|| wrong("reload", key, wanted, item));
    list.iter().map(name).collect()
}

fn wrong(of: &str, key: &str, wanted: &str, got: &Value) -> Box<rhai::EvalAltResult> {
    let got = got.as_str().map_or_else(|| got.kind().to_owned(), |text| format!("`{text}`"));
    thrown(format!("{of}: option `{key}` wants {wanted}, got {got}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(script: &str) -> Result<ReloadOptions, String> {
        let given = rhai::Engine::new().eval::<Map>(script).unwrap();
        reload(&given).map_err(|error| match *error {
            rhai::EvalAltResult::ErrorRuntime(thrown, _) => {
                thrown.cast::<crate::failure::Failure>().message()
            }
            other => other.to_string(),
        })
    }

    #[test]
    fn options_are_read_and_wrong_ones_are_told() {
        let options = read("#{ force: true, load: [\"b\"], on_busy: \"wait\", drain: \"cancel\" }").unwrap();
        assert!(options.force && options.load.contains("b") && options.changed.is_none());
        assert_eq!((options.on_busy, options.drain), (OnBusy::Wait, DrainPolicy::Cancel));
        assert_eq!(read("#{}").unwrap().on_busy, OnBusy::Join);
        let told = |script: &str| read(script).unwrap_err();
        assert_eq!(told("#{ forced: true }"), "reload: unknown option `forced`, did you mean `force`?");
        assert_eq!(
            told("#{ colour: true }"),
            "reload: unknown option `colour`; there are: force, changed, load, remove, on_busy, drain, check, forgive_before_reload"
        );
        assert_eq!(told("#{ force: 1 }"), "reload: option `force` wants a boolean, got integer");
        assert_eq!(
            told("#{ drain: \"now\" }"),
            "reload: option `drain` wants `abort` or `cancel`, got `now`"
        );
        assert_eq!(told("#{ load: \"b\" }"), "reload: option `load` wants a list of module names, got `b`");
    }
}
