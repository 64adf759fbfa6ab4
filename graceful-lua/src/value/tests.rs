//! What is plain data and what is not, and that nothing crashes on the way.

use super::*;
use proptest::prelude::*;

fn eval(lua: &Lua, text: &str) -> mlua::Value {
    lua.load(text).eval().unwrap()
}

fn read(text: &str) -> Result<Value, String> {
    from_lua(&eval(&Lua::new(), text))
}

fn refused(text: &str) -> String {
    read(text).unwrap_err()
}

#[test]
fn plain_values_come_out_as_they_are() {
    assert_eq!(read("nil"), Ok(Value::Null));
    assert_eq!(read("1"), Ok(Value::Int(1)));
    assert_eq!(read("1.5"), Ok(Value::Float(1.5)));
    assert_eq!(read("'é'"), Ok(Value::Str("é".into())));
    assert_eq!(read("'\\255'"), Ok(Value::Bytes(vec![255])));
    assert_eq!(read("{}"), Ok(Value::List(vec![])));
    assert_eq!(read("{1, 'a', {true}}").unwrap(), {
        Value::List(vec![1.into(), "a".into(), Value::List(vec![true.into()])])
    });
    assert_eq!(read("{a = {b = {}}}").unwrap().get("a").unwrap().get("b"), Some(&Value::List(vec![])));
    assert_eq!(read("(function() local t = {} for i = 9, 1, -1 do t[i] = i end return t end)()").unwrap(), {
        Value::List((1..10).map(Value::Int).collect())
    });
}

#[test]
fn what_is_not_plain_is_named_with_its_place() {
    assert_eq!(refused("print"), "the value is a function");
    assert_eq!(refused("{user = {{save = print}}}"), "`user[1].save` is a function");
    assert_eq!(refused("{1, 2, [5] = 5}"), "the value has the key 5 but not 3");
    assert_eq!(refused("{a = {[0] = 1}}"), "`a` has the key 0 but not 1");
    assert_eq!(refused("{1, b = 2}"), "the value has both the key 1, like a list, and `b`, like a map");
    assert_eq!(refused("{[1.5] = 1}"), "the value has the key 1.5");
    assert_eq!(refused("{a = {[true] = 1}}"), "`a` has a key that is a boolean");
    assert_eq!(refused("coroutine.create(print)"), "the value is a thread");
    assert!(refused("{['\\255'] = 1}").ends_with("which is not UTF-8"));
}

#[test]
fn st_04_cycles_depth_and_size_are_errors_and_not_crashes() {
    let text = "(function() local t = {} t.a = {t} return t end)()";
    assert_eq!(refused(text), "`a[1]` contains itself");
    let deep = "(function() local t = {} for _ = 1, 1e5 do t = {t} end return t end)()";
    assert!(refused(deep).ends_with("lies deeper than 128 tables"));
    let edge = |n| format!("(function() local t = {{}} for _ = 2, {n} do t = {{t}} end return t end)()");
    assert!(read(&edge(128)).is_ok() && read(&edge(129)).is_err());
    let doubling = "(function() local t = {} for _ = 1, 60 do t = {t, t} end return t end)()";
    assert_eq!(refused(doubling), "the value is larger than 64 MiB");
    assert_eq!(refused("('x'):rep(65 * 2^20)"), "the value is larger than 64 MiB");
    let shared = "(function() local t = {1} return {t, t} end)()";
    assert!(read(shared).is_ok());
}

#[test]
fn st_04_a_deep_value_does_not_crash_on_its_way_in() {
    let deep = |n| (0..n).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let lua = Lua::new();
    assert!(to_lua(&lua, &deep(128)).is_ok());
    assert!(to_lua(&lua, &deep(129)).unwrap_err().to_string().contains("deeper than 128"));
}

#[test]
fn nothing_keeps_its_place_in_a_list_and_is_absent_in_a_map() {
    let lua = Lua::new();
    let list = Value::List(vec![Value::Null, 1.into(), Value::Null]);
    let back = to_lua(&lua, &list).unwrap();
    assert_eq!(back.as_table().unwrap().raw_len(), 3);
    assert_eq!(from_lua(&back), Ok(list));
    let map = Value::Map([("a".to_owned(), Value::Null)].into());
    assert_eq!(from_lua(&to_lua(&lua, &map).unwrap()), Ok(Value::List(vec![])));
}

#[cfg(not(feature = "lua54"))]
#[test]
fn a_whole_number_is_never_rounded_silently() {
    let lua = Lua::new();
    assert!(to_lua(&lua, &Value::Int(1 << 53)).is_ok());
    assert!(to_lua(&lua, &Value::Int((1 << 53) + 1)).is_err());
}

fn plain() -> impl Strategy<Value = Value> {
    let whole = (-(1i64 << 53)..=1 << 53).prop_map(Value::Int);
    let float = (-1e9..1e9f64).prop_map(|n| Value::Float(n.trunc() + 0.5));
    let bytes = prop::collection::vec(any::<u8>(), 0..9).prop_map(|mut bytes| {
        bytes.push(0xff);
        Value::Bytes(bytes)
    });
    let leaf =
        prop_oneof![any::<bool>().prop_map(Value::Bool), whole, float, ".{0,9}".prop_map(Value::Str), bytes];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List);
        let map = prop::collection::btree_map(".{0,9}", inner, 1..6).prop_map(Value::Map);
        prop_oneof![list, map]
    })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(value in plain()) {
        let lua = Lua::new();
        prop_assert_eq!(from_lua(&to_lua(&lua, &value).unwrap()), Ok(value));
    }
}
