//! The options of a reload, as Rhai gives them.

use std::collections::BTreeMap;

use graceful_core::{ReloadOptions, ShutdownOptions, Value, asked};
use rhai::{Dynamic, Map};

use crate::failure::{Thrown, thrown};
use crate::value::to_value;

pub(crate) fn reload(given: &Map) -> Thrown<ReloadOptions> {
    asked::reload(read("reload", given, &asked::RELOAD)?).map_err(thrown)
}

pub(crate) fn shutdown(given: &Map) -> Thrown<ShutdownOptions> {
    asked::shutdown(read("shutdown", given, &asked::SHUTDOWN)?).map_err(thrown)
}

pub(crate) fn removal(given: &Map) -> Thrown<bool> {
    asked::removal(read("unregister_module", given, &asked::REMOVAL)?).map_err(thrown)
}

fn read(of: &str, given: &Map, known: &[&str]) -> Thrown<BTreeMap<String, Value>> {
    asked::check(of, given.keys().map(|key| key.as_str()), known).map_err(thrown)?;
    let plain = |value: &Dynamic| to_value(value).map_err(|reason| thrown(format!("{of}: {reason}")));
    given.iter().map(|(key, value)| Ok((key.to_string(), plain(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use graceful_core::{DrainPolicy, OnBusy};

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
