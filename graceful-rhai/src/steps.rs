//! `migrations` of a registration: the steps, checked.

use graceful_core::{Migration, MigrationCx, Migrations, Version};
use rhai::{Dynamic, FnPtr};

use crate::value::{kind, to_value};

/// The steps of one module, and the functions of each, in the same order.
#[derive(Clone, Default)]
pub(crate) struct Steps {
    pub(crate) declared: Migrations,
    functions: Vec<Functions>,
}

#[derive(Clone, Default)]
struct Functions {
    up: Option<FnPtr>,
    down: Option<FnPtr>,
}

impl Steps {
    /// Reads the option: steps by the version that they begin at, or a list of steps with `from`. `home` is
    /// what is done with each function.
    pub(crate) fn read(option: &Dynamic, home: fn(FnPtr) -> FnPtr) -> Result<Self, String> {
        let mut steps = Vec::new();
        if let Ok(by_version) = option.as_map_ref() {
            for (from, entry) in by_version.iter() {
                let from = Version::parse(from).map_err(|error| error.to_string())?;
                match entry.as_array_ref() {
                    // Several steps that begin at the same version.
                    Ok(list) => {
                        for entry in list.iter() {
                            steps.push(step(entry, Some(from.clone()), home)?);
                        }
                    }
                    Err(_) => steps.push(step(entry, Some(from), home)?),
                }
            }
        } else if let Ok(list) = option.as_array_ref() {
            for entry in list.iter() {
                steps.push(step(entry, None, home)?);
            }
        } else {
            return Err(format!("expected a map of steps, got {}", kind(option)));
        }
        let declared = Migrations::new(steps.iter().map(|(declared, _)| declared.clone()));
        let declared = declared.map_err(|error| error.to_string())?;
        steps.sort_by(|(one, _), (other, _)| (&one.from, &one.to).cmp(&(&other.from, &other.to)));
        Ok(Self { declared, functions: steps.into_iter().map(|(_, functions)| functions).collect() })
    }

    /// What takes the step that `cx` names.
    pub(crate) fn function(&self, cx: &MigrationCx) -> Option<&FnPtr> {
        let (from, to) = cx.step.declared();
        let at = self.declared.steps().iter().position(|step| step.from == *from && step.to == *to)?;
        let Functions { up, down } = &self.functions[at];
        if cx.step.is_up() { up.as_ref() } else { down.as_ref() }
    }
}

fn step(
    entry: &Dynamic,
    from: Option<Version>,
    home: fn(FnPtr) -> FnPtr,
) -> Result<(Migration, Functions), String> {
    let label = from.as_ref().map_or("a step".to_owned(), |from| format!("the step from {from}"));
    let Ok(entry) = entry.as_map_ref() else {
        return Err(format!("{label}: expected a map, got {}", kind(entry)));
    };
    let (mut from, mut to, mut lossy) = (from, None, false);
    let mut functions = Functions::default();
    for (key, value) in entry.iter() {
        let wrong =
            |expected: &str| Err(format!("{label}: `{key}`: expected {expected}, got {}", kind(value)));
        let version = || {
            let plain = to_value(value).map_err(|_| format!("expected a version, got {}", kind(value)));
            let read = plain.and_then(|plain| Version::from_value(&plain).map_err(|error| error.to_string()));
            read.map_err(|text| format!("{label}: `{key}`: {text}"))
        };
        match key.as_str() {
            "from" => {
                let given = version()?;
                if from.as_ref().is_some_and(|from| *from != given) {
                    return Err(format!("{label}: `from` is {given}"));
                }
                from = Some(given);
            }
            "to" => to = Some(version()?),
            "up" | "down" => {
                let Some(function) = value.clone().try_cast::<FnPtr>() else { return wrong("a function") };
                let way = if key == "up" { &mut functions.up } else { &mut functions.down };
                *way = Some(home(function));
            }
            "lossy" => match value.as_bool() {
                Ok(truth) => lossy = truth,
                Err(_) => return wrong("a boolean"),
            },
            unknown => {
                let known = "`from`, `to`, `up`, `down`, `lossy`";
                return Err(format!("{label}: unknown entry `{unknown}`; there are {known}"));
            }
        }
    }
    let (Some(from), Some(to)) = (from, to.clone()) else {
        let missing = if to.is_none() { "to" } else { "from" };
        return Err(format!("{label}: `{missing}`: expected a version, got nothing"));
    };
    let (up, down) = (functions.up.is_some(), functions.down.is_some());
    Ok((Migration { from, to, up, down, lossy }, functions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(option: &str) -> Result<String, String> {
        let option = rhai::Engine::new().eval::<Dynamic>(option).unwrap();
        Steps::read(&option, |function| function).map(|steps| steps.declared.to_string())
    }

    #[test]
    fn ver_02_steps_are_a_map_by_version_or_a_list() {
        let up = r#"to: "2.0.0", up: |s| s"#;
        assert_eq!(read(&format!("#{{ \"1.0.0\": #{{ {up} }} }}")).unwrap(), "1.0.0 -> 2.0.0 (up only)");
        assert_eq!(read(&format!("[#{{ from: [1, 0, 0], {up} }}]")).unwrap(), "1.0.0 -> 2.0.0 (up only)");
        let two =
            r#"#{ "1.0.0": [#{ to: "3.0.0", down: |s| s }, #{ to: [2, 0, 0], up: |s| s, down: |s| s }] }"#;
        assert_eq!(read(two).unwrap(), "1.0.0 -> 2.0.0 (up and down), 1.0.0 -> 3.0.0 (down only)");
    }

    #[test]
    fn ver_02_a_wrong_option_is_told() {
        for (option, told) in [
            ("5", "expected a map of steps, got integer"),
            ("[5]", "a step: expected a map, got integer"),
            (r#"#{ "1.0": #{} }"#, "`1.0` is not a version: expected"),
            (r#"#{ "1.0.0": "up" }"#, "the step from 1.0.0: expected a map, got string"),
            (r#"#{ "1.0.0": #{ up: |s| s } }"#, "the step from 1.0.0: `to`: expected a version, got nothing"),
            (r#"[#{ to: "1.0.0" }]"#, "a step: `from`: expected a version, got nothing"),
            (
                r#"#{ "1.0.0": #{ to: |s| s } }"#,
                "the step from 1.0.0: `to`: expected a version, got function",
            ),
            (r#"#{ "1.0.0": #{ to: "2" } }"#, "the step from 1.0.0: `to`: `2` is not a version: expected"),
            (r#"#{ "1.0.0": #{ up: 5 } }"#, "the step from 1.0.0: `up`: expected a function, got integer"),
            (
                r#"#{ "1.0.0": #{ lossy: 1 } }"#,
                "the step from 1.0.0: `lossy`: expected a boolean, got integer",
            ),
            (r#"#{ "1.0.0": #{ dwon: 1 } }"#, "the step from 1.0.0: unknown entry `dwon`; there are `from`"),
            (r#"#{ "1.0.0": #{ from: "1.1.0" } }"#, "the step from 1.0.0: `from` is 1.1.0"),
            (r#"#{ "1.0.0": #{ to: "2.0.0" } }"#, "the step 1.0.0 -> 2.0.0 has neither `up` nor `down`"),
        ] {
            let got = read(option).unwrap_err();
            assert!(got.starts_with(told), "{option}: {got}");
        }
    }
}
