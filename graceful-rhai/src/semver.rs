//! A version, as scripts hold it.

use std::cmp::Ordering;

use graceful_core::version::VersionError;
use graceful_core::{Value, Version};
use rhai::{Array, Engine, INT, ImmutableString, Module};

use crate::failure::{Thrown, thrown};

/// A version in a script: compares by SemVer precedence, prints as `maj.min.patch`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Semver(pub(crate) Version);

/// `semver(maj, min, patch)`, `semver("maj.min.patch")` and `semver([maj, min, patch])`.
pub(crate) fn functions(module: &mut Module) {
    module.set_native_fn("semver", |major: INT, minor: INT, patch: INT| {
        let parts = [major, minor, patch].map(Value::Int).to_vec();
        Version::from_value(&Value::List(parts)).map(Semver).map_err(thrown)
    });
    module.set_native_fn("semver", |parts: Array| listed(&parts).map(Semver).map_err(thrown));
    module.set_native_fn("semver", |text: ImmutableString| Version::parse(&text).map(Semver).map_err(thrown));
}

/// What a version can do.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Semver>("Semver");
    engine.register_get("major", |version: &mut Semver| version.0.major() as INT);
    engine.register_get("minor", |version: &mut Semver| version.0.minor() as INT);
    engine.register_get("patch", |version: &mut Semver| version.0.patch() as INT);
    for name in ["string", "to_string", "to_debug"] {
        engine.register_fn(name, |version: &mut Semver| version.0.to_string());
    }
    compared(engine, "==", Ordering::is_eq);
    compared(engine, "!=", Ordering::is_ne);
    compared(engine, "<", Ordering::is_lt);
    compared(engine, "<=", Ordering::is_le);
    compared(engine, ">", Ordering::is_gt);
    compared(engine, ">=", Ordering::is_ge);
}

/// Compares with every form that a version has, on either side.
fn compared(engine: &mut Engine, operator: &str, holds: fn(Ordering) -> bool) {
    let with = move |one: &Version, other: Result<Version, VersionError>| -> Thrown<bool> {
        Ok(holds(one.cmp(&other.map_err(thrown)?)))
    };
    let turned = move |one: Result<Version, VersionError>, other: &Version| -> Thrown<bool> {
        Ok(holds(one.map_err(thrown)?.cmp(other)))
    };
    engine.register_fn(operator, move |one: Semver, other: Semver| holds(one.cmp(&other)));
    engine.register_fn(operator, move |one: Semver, other: ImmutableString| {
        with(&one.0, Version::parse(&other))
    });
    engine.register_fn(operator, move |one: ImmutableString, other: Semver| {
        turned(Version::parse(&one), &other.0)
    });
    engine.register_fn(operator, move |one: Semver, other: Array| with(&one.0, listed(&other)));
    engine.register_fn(operator, move |one: Array, other: Semver| turned(listed(&one), &other.0));
}

fn listed(parts: &Array) -> Result<Version, VersionError> {
    let parts = parts.iter().map(|part| part.as_int().map(Value::Int).unwrap_or_default());
    Version::from_value(&Value::List(parts.collect()))
}

#[cfg(test)]
mod tests {
    use rhai::EvalAltResult;

    use super::*;
    use crate::failure::Failure;

    #[test]
    fn ver_01_versions_compare_by_precedence_and_print_as_text() {
        let mut engine = Engine::new();
        register(&mut engine);
        let mut module = Module::new();
        functions(&mut module);
        engine.register_static_module("graceful", module.into());
        let shown = engine.eval::<String>("graceful::semver(1, 10, 0).string()").unwrap();
        assert_eq!(shown, "1.10.0");
        assert!(engine.eval::<bool>(r#"graceful::semver(1, 10, 0) > graceful::semver("1.9.0")"#).unwrap());
        for text in [
            r#"graceful::semver(1, 2, 3) == "1.2.3""#,
            r#""1.2.3" <= graceful::semver(1, 2, 3)"#,
            "graceful::semver([1, 2, 3]) == [1, 2, 3]",
            "[1, 9, 0] < graceful::semver(1, 10, 0)",
        ] {
            assert!(engine.eval::<bool>(text).unwrap(), "{text}");
        }
        assert_eq!(engine.eval::<String>(r#"`v${graceful::semver(1, 2, 3)}`"#).unwrap(), "v1.2.3");
        let error = engine.eval::<bool>(r#"graceful::semver("1.2") == "1.2.0""#).unwrap_err();
        let EvalAltResult::ErrorRuntime(thrown, _) = *error else { panic!("{error}") };
        let message = thrown.cast::<Failure>().message();
        assert!(message.starts_with("`1.2` is not a version"), "{message}");
    }
}
