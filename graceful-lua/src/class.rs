//! `class(name)`: a class that stays the same table across reloads, so that objects in a state get the methods of
//! the new code.
//!
//! ```lua
//! local Account = graceful.class('Account')
//! function Account.new(balance) return setmetatable({ balance = balance }, Account) end
//! function Account:deposit(amount) self.balance = self.balance + amount end
//! ```
//!
//! While a new version of its module loads, that finds it empty and fills it; everybody else sees it as it was
//! until the commit. Calls that began on the old code see the new methods from then on, as they see the state.

use mlua::{Error, Lua, Table, UserDataRef, Value};

use crate::record::Identity;

/// Weak in its values: a class is known for as long as an object or a module has it.
const CLASSES: &str = "graceful.classes";

/// `class(name)` of a record.
pub(crate) fn class(lua: &Lua, (record, name): (UserDataRef<Identity>, Value)) -> mlua::Result<Table> {
    let record = &record.0;
    let Value::String(name) = &name else {
        let got = name.type_name();
        return Err(Error::runtime(format!("class: expected the name of a class, got {got}")));
    };
    let (vm, classes) = (record.vm()?, classes(lua)?);
    let key = format!("{}/{}", record.source.name, name.to_string_lossy());
    let known: Option<Table> = classes.raw_get(key.as_str())?;
    let open = vm.open().filter(|_| record.draft().is_some());
    match (open, known) {
        (None, Some(known)) => Ok(known),
        (None, None) => Err(Error::runtime("class: a class is made while its module loads, not later")),
        (Some(open), known) => {
            let class = match known {
                Some(known) => known,
                None => {
                    let class = lua.create_table()?;
                    class.raw_set("__index", &class)?;
                    class.raw_set("__name", name)?;
                    vm.copier.border(&class)?;
                    classes.raw_set(key, &class)?;
                    class
                }
            };
            open.class(&vm, record, &class)?;
            Ok(class)
        }
    }
}

fn classes(lua: &Lua) -> mlua::Result<Table> {
    if let Value::Table(classes) = lua.named_registry_value(CLASSES)? {
        return Ok(classes);
    }
    let (classes, weak) = (lua.create_table()?, lua.create_table()?);
    weak.raw_set("__mode", "v")?;
    classes.set_metatable(Some(weak))?;
    lua.set_named_registry_value(CLASSES, &classes)?;
    Ok(classes)
}

#[cfg(test)]
mod tests;
