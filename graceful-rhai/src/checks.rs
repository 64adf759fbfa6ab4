//! `checks`: a function says what it takes, and a wrong call is told where it was made.
//!
//! ```text
//! fn total(item, quantity, options) {
//!     checks::arg("item", item, "string");
//!     checks::arg("quantity", quantity, "?integer");
//!     checks::arg("options", options, #{ currency: "?string", rounding: "string|function" });
//! }
//! ```
//!
//! The types are `string`, `integer`, `float`, `number`, `boolean`, `list`, `map`, `table`, `function`, `nothing`,
//! `any`, what `type_of` says of any other value, and the name of a class. `?` before one allows nothing, `|` between
//! several allows each of them, and a map stands for a map or table of options, which may be nested.

use graceful_core::near::{meant, nearest};
use rhai::{Dynamic, ImmutableString, Map, Module, NativeCallContext};

use crate::failure::{Failure, Thrown, fail, placed};
use crate::table::{Object, Table, table_of};

/// The functions of `checks`.
pub(crate) fn module() -> Module {
    let mut module = Module::new();
    module.set_id("checks");
    module.set_native_fn(
        "arg",
        |cx: NativeCallContext, name: ImmutableString, value: Dynamic, what: Dynamic| {
            placed(&cx, argument(&cx, &name, &value, &what))
        },
    );
    module.set_native_fn("fits", |cx: NativeCallContext, value: Dynamic, what: Dynamic| {
        Ok(wrong(&cx, "", &value, &what).is_none())
    });
    module.build_index();
    module
}

fn argument(cx: &NativeCallContext, name: &str, value: &Dynamic, what: &Dynamic) -> Thrown<()> {
    match wrong(cx, name, value, what) {
        Some(message) => Err(fail(Failure::Argument(message))),
        None => Ok(()),
    }
}

/// What is wrong with `value`, if it is not `what`.
fn wrong(cx: &NativeCallContext, name: &str, value: &Dynamic, what: &Dynamic) -> Option<String> {
    if let Ok(options) = what.as_map_ref() {
        return wrong_options(cx, name, value, &options);
    }
    let Ok(types) = what.as_immutable_string_ref() else {
        return Some(format!("argument `{name}`: a type is a text or a map of them"));
    };
    let (optional, types) = types.strip_prefix('?').map_or((false, types.as_str()), |types| (true, types));
    let fits = (optional && value.is_unit()) || types.split('|').any(|wanted| is(cx, value, wanted.trim()));
    (!fits).then(|| format!("argument `{name}`: expected {types}, got {}", kind(cx, value)))
}

fn wrong_options(cx: &NativeCallContext, name: &str, value: &Dynamic, options: &Map) -> Option<String> {
    let given: Map = match (value.as_map_ref(), table_of(value)) {
        (Ok(map), _) => map.clone(),
        (_, Some(table)) => {
            table.entries().into_iter().map(|(key, value)| (key.as_str().into(), value)).collect()
        }
        _ if value.is_unit() => Map::new(),
        _ => return Some(format!("argument `{name}`: expected map, got {}", kind(cx, value))),
    };
    if let Some(unknown) = given.keys().find(|key| !options.contains_key(*key)) {
        let near = nearest(unknown, options.keys().map(|key| key.as_str())).map(meant).unwrap_or_default();
        return Some(format!("argument `{name}`: unknown option `{unknown}`{near}"));
    }
    options.iter().find_map(|(key, what)| {
        let value = given.get(key).cloned().unwrap_or_default();
        wrong(cx, &format!("{name}.{key}"), &value, what)
    })
}

fn is(cx: &NativeCallContext, value: &Dynamic, wanted: &str) -> bool {
    match wanted {
        "any" => true,
        "number" => value.is_int() || value.is_float(),
        "i64" => value.is_int(),
        "f64" => value.is_float(),
        "bool" => value.is_bool(),
        "array" => value.is_array(),
        "Fn" => value.is_fnptr(),
        "()" => value.is_unit(),
        wanted => kind(cx, value) == wanted,
    }
}

/// What kind of value it is: the name of its class, if it has one.
fn kind(cx: &NativeCallContext, value: &Dynamic) -> String {
    if let Some(object) = value.read_lock::<Object>() {
        return object.class.name.to_string();
    }
    let known = [
        (value.is_unit(), "nothing"),
        (value.is_string(), "string"),
        (value.is_int(), "integer"),
        (value.is_float(), "float"),
        (value.is_bool(), "boolean"),
        (value.is_array(), "list"),
        (value.is_map(), "map"),
        (value.is_fnptr(), "function"),
        (value.is::<Table>(), "table"),
    ];
    let found = known.into_iter().find_map(|(is, name)| is.then(|| name.to_owned()));
    found.unwrap_or_else(|| cx.engine().map_type_name(value.type_name()).to_owned())
}
