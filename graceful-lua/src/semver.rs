//! Versions as scripts have them: `semver(1, 2, 3)`, text or a list of three, all the same.

use std::cmp::Ordering;

use graceful_core::Version;
use mlua::{Lua, MetaMethod, MultiValue, UserData, UserDataFields, UserDataMethods, Value};

use crate::value::from_lua;

/// A version in Lua: `maj`, `min`, `patch`, `:string()`; compares with any form of a version.
#[derive(Clone, Debug)]
pub(crate) struct Semver(pub(crate) Version);

/// Reads any form of a version.
pub(crate) fn read(value: &Value) -> Result<Version, String> {
    if let Value::UserData(object) = value
        && let Ok(version) = object.borrow::<Semver>()
    {
        return Ok(version.0.clone());
    }
    let plain = from_lua(value).ok().filter(|_| !value.is_nil());
    let plain = plain.ok_or_else(|| format!("expected a version, got {}", value.type_name()))?;
    Version::from_value(&plain).map_err(|error| error.to_string())
}

/// `semver(maj, min, patch)`, and of any form of a version.
pub(crate) fn make(_: &Lua, given: MultiValue) -> mlua::Result<Semver> {
    let given: Vec<Value> = given.into_iter().collect();
    let (major, minor, patch) = match given.as_slice() {
        [one] if !matches!(one, Value::Integer(_) | Value::Number(_)) => {
            return read(one).map(Semver).map_err(|text| mlua::Error::runtime(format!("semver: {text}")));
        }
        [major, minor, patch] => (major, minor, patch),
        other => {
            let got: Vec<String> = other.iter().map(|value| value.to_string().unwrap_or_default()).collect();
            let got = if got.is_empty() { "nothing".to_owned() } else { got.join(", ") };
            let expected = "expected three whole numbers, a text such as '1.2.3' or a list of three";
            return Err(mlua::Error::runtime(format!("semver: {expected}, got {got}")));
        }
    };
    let part = |value: &Value, name: &str| match value {
        Value::Integer(part) if *part >= 0 => Ok(*part as u64),
        Value::Number(part) if *part >= 0.0 && part.fract() == 0.0 => Ok(*part as u64),
        other => {
            let got = other.to_string().unwrap_or_else(|_| other.type_name().to_owned());
            Err(mlua::Error::runtime(format!("semver: {name} must be a whole number from 0, got {got}")))
        }
    };
    Ok(Semver(Version::new(part(major, "maj")?, part(minor, "min")?, part(patch, "patch")?)))
}

fn compare(a: &Value, b: &Value) -> mlua::Result<Ordering> {
    Ok(read(a).map_err(mlua::Error::runtime)?.cmp(&read(b).map_err(mlua::Error::runtime)?))
}

impl UserData for Semver {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("maj", |_, this| Ok(this.0.major()));
        fields.add_field_method_get("min", |_, this| Ok(this.0.minor()));
        fields.add_field_method_get("patch", |_, this| Ok(this.0.patch()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("string", |_, this, ()| Ok(this.0.to_string()));
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(this.0.to_string()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (Value, Value)| Ok(compare(&a, &b)?.is_eq()));
        methods.add_meta_function(MetaMethod::Lt, |_, (a, b): (Value, Value)| Ok(compare(&a, &b)?.is_lt()));
        methods.add_meta_function(MetaMethod::Le, |_, (a, b): (Value, Value)| Ok(compare(&a, &b)?.is_le()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ver_01_all_forms_are_read_compare_and_print() {
        let lua = Lua::new();
        lua.globals().set("semver", lua.create_function(make).unwrap()).unwrap();
        lua.load(
            "local a, b = semver(1, 9, 0), semver(1, 10, 0)
            assert(a < b and a <= b and b > a and a ~= b and a == semver(1, 9, 0))
            assert(tostring(a) == '1.9.0' and a:string() == '1.9.0')
            assert(a.maj == 1 and a.min == 9 and a.patch == 0)",
        )
        .exec()
        .unwrap();
        for text in ["return semver(1, 2, 3)", "return '1.2.3'", "return {1, 2, 3}"] {
            assert_eq!(read(&lua.load(text).eval().unwrap()).unwrap(), Version::new(1, 2, 3), "{text}");
        }
        for text in ["return '1.2'", "return {1, 2}", "return 1", "return {1, 2, -3}", "return {}"] {
            assert!(read(&lua.load(text).eval().unwrap()).is_err(), "{text}");
        }
        for text in ["semver('1.2.3')", "semver({1, 2, 3})", "semver(semver(1, 2, 3))"] {
            let text = format!("return tostring({text})");
            assert_eq!(lua.load(&text).eval::<String>().unwrap(), "1.2.3", "{text}");
        }
        for text in [
            "semver()",
            "semver(1)",
            "semver('1.2')",
            "semver(print)",
            "semver(1, 2)",
            "semver(1, 2, 3, 4)",
            "semver('1.2.3', 4)",
            "semver(-1, 0, 0)",
            "semver(1.5, 0, 0)",
            "semver('a', 0, 0)",
        ] {
            assert!(lua.load(text).exec().is_err(), "{text}");
        }
    }
}
