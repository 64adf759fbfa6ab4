//! Parses sources in a VM of their own, off the live one, to bytecode that keeps its lines.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, PoisonError};

use graceful_core::{Compiled, Name, ScriptError, Source};
use memchr::memmem;

use crate::error::script_error;
use crate::parser::Parser;
use crate::scan::scan;

/// A source that was parsed.
pub(crate) struct Chunk {
    bytecode: Box<[u8]>,
    name: CString,
    /// What it is known to require, in the order of the bytes.
    requires: Vec<Name>,
    /// Nothing in the text gives its functions other globals.
    keeps_its_environment: bool,
}

/// Which names are there without a source.
#[derive(Default)]
pub(crate) struct Given {
    /// The engine has nothing to do with them.
    pub(crate) fixed: BTreeSet<String>,
    /// They are there only if the engine knows no module of that name.
    pub(crate) soft: BTreeSet<String>,
}

/// Parsers that nobody uses.
static PARSERS: Mutex<Vec<Parser>> = Mutex::new(Vec::new());

/// Parses `source`; what it requires is told except for what is `given`.
pub(crate) fn compile(source: &Source, given: &Given) -> Result<Compiled, ScriptError> {
    let text = readable(&source.text);
    let name = CString::new(format!("@{}", source.origin)).unwrap_or_default();
    let parsed = parse(&text, &name);
    let bytecode = parsed.map_err(|error| script_error(&error, |_| Some(Arc::new(source.clone()))))?;
    let (mut requires, declared) = scan(&source.text, &source.origin, &source.name);
    requires.retain(|require| !given.fixed.contains(require.name.as_str()));
    // That there is none fails no plan; if there is one it is loaded, and comes first when it is asked for.
    requires.iter_mut().for_each(|require| require.deferred |= given.soft.contains(require.name.as_str()));
    let says = |word| memmem::find(&text, word).is_some();
    let keeps_its_environment = !says(b"_ENV") && !says(b"setfenv");
    let mut known: Vec<Name> = requires.iter().map(|require| require.name.clone()).collect();
    known.sort();
    let chunk = Chunk { bytecode, name, requires: known, keeps_its_environment };
    Ok(Compiled { requires: requires.into(), artifact: Arc::new(chunk), declared })
}

fn parse(text: &[u8], name: &CStr) -> mlua::Result<Box<[u8]>> {
    let parsers = || PARSERS.lock().unwrap_or_else(PoisonError::into_inner);
    let spare = parsers().pop();
    let mut parser = spare.map_or_else(Parser::new, Ok)?;
    // The module's own `require` becomes a local, so that its functions keep it whoever calls them.
    let own = parser.parse(&[b"local require=require;", text].concat(), name);
    let parsed = own.or_else(|_| parser.parse(text, name));
    // Made room for first: whoever parses meanwhile waits for the list.
    let parser = parser.with_room();
    parsers().extend(parser);
    parsed
}

/// The text without a byte order mark, its first line made a comment if it is one for the shell.
fn readable(text: &[u8]) -> Vec<u8> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.starts_with(b"#") { [b"--", text].concat() } else { text.to_vec() }
}

impl Chunk {
    /// Whether its top level, loaded once, may be run again for another version: the functions of both would
    /// share one `_ENV`.
    pub(crate) fn keeps_its_environment(&self) -> bool {
        self.keeps_its_environment
    }

    /// Whether it is known to require `name`.
    pub(crate) fn requires(&self, name: &[u8]) -> bool {
        self.requires.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
    }

    /// Its bytecode, and what Lua calls it.
    pub(crate) fn parts(&self) -> (&[u8], &CStr) {
        (&self.bytecode, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use graceful_core::backend::parse_on_threads;
    use mlua::chunk::ChunkMode;
    use mlua::{Function, Lua};

    use super::*;

    impl Chunk {
        fn load(&self, lua: &Lua) -> mlua::Result<Function> {
            let name = self.name.to_str().unwrap();
            lua.load(&*self.bytecode).set_name(name).set_mode(ChunkMode::Binary).into_function()
        }
    }

    fn compiled(text: &str) -> Result<Arc<Chunk>, ScriptError> {
        let source = Source::new("m", "lua", "app/m.lua", text.as_bytes());
        compile(&source, &Given::default()).map(|compiled| compiled.artifact.downcast().unwrap())
    }

    #[test]
    fn the_first_line_may_hold_a_byte_order_mark_or_be_for_the_shell() {
        for text in ["\u{feff}return 1", "#!/usr/bin/lua\nreturn 1", "\u{feff}#!lua\nreturn 1", "# only this"]
        {
            let lua = Lua::new();
            let value: Option<i64> = compiled(text).unwrap().load(&lua).unwrap().call(()).unwrap();
            assert_eq!(value, text.contains("return").then_some(1), "{text}");
        }
    }

    #[test]
    fn runtime_errors_have_the_lines_of_the_text() {
        let lua = Lua::new();
        for (text, line) in [("error('x')", 1), ("#!lua\n\nerror('x')", 3), ("\n\nlocal a = nil + 1", 3)] {
            let error = compiled(text).unwrap().load(&lua).unwrap().call::<()>(()).unwrap_err();
            assert!(error.to_string().contains(&format!("app/m.lua:{line}:")), "{error}");
        }
    }

    #[test]
    fn tx_02_a_syntax_error_has_file_line_column_and_source_line() {
        let error = compiled("local a = 1\nlocal b = = 2\n").err().unwrap();
        let place = error.place.clone().unwrap();
        assert_eq!((place.file.as_str(), place.line, place.column), ("app/m.lua", Some(2), Some(11)));
        assert_eq!(error.source_line.as_deref(), Some("local b = = 2"));
        let first = compiled("x = = 2").err().unwrap().place.unwrap();
        assert_eq!((first.line, first.column), (Some(1), Some(5)));
    }

    #[test]
    fn a_top_level_may_use_every_local_that_lua_allows() {
        let text: String = (0..200).map(|n| format!("local v{n} = {n}\n")).collect();
        compiled(&text).unwrap();
    }

    #[test]
    fn many_sources_are_answered_in_their_order() {
        let text = |at: usize| if at == 70 { "local = 1".to_owned() } else { format!("return {at}") };
        let source = |at: usize| Source::new("m", "lua", format!("app/m{at}.lua"), text(at).into_bytes());
        let sources: Vec<Source> = (0..150).map(source).collect();
        let lua = Lua::new();
        let parse = |source: &Source| compile(source, &Given::default());
        for (at, compiled) in parse_on_threads(&sources, parse).into_iter().enumerate() {
            let value = match compiled {
                Ok(compiled) => compiled.artifact.downcast::<Chunk>().unwrap().load(&lua).unwrap().call(()),
                Err(error) => {
                    assert_eq!(error.place.unwrap().file, format!("app/m{at}.lua"));
                    Ok(70)
                }
            };
            assert_eq!(value.unwrap(), at);
        }
    }

    #[test]
    fn bytecode_is_no_source() {
        let lua = Lua::new();
        let dump = lua.load("return 1").into_function().unwrap().dump(false);
        let source = Source::new("m", "lua", "app/m.lua", dump);
        assert!(compile(&source, &Given::default()).is_err());
    }

    #[test]
    fn requires_are_told_except_those_that_are_given() {
        let text = "require 'given' require 'other' require 'soft'";
        let source = Source::new("m", "lua", "app/m.lua", text.as_bytes());
        let (fixed, soft) = (["given".to_owned()].into(), ["soft".to_owned()].into());
        let compiled = compile(&source, &Given { fixed, soft }).unwrap();
        let told = compiled.requires.iter().map(|require| (require.name.as_str(), require.deferred));
        assert_eq!(told.collect::<Vec<_>>(), [("other", false), ("soft", true)]);
    }
}
