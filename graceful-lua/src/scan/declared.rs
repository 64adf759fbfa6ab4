//! What a text registers its module with, where that can be read: constants, in a call that stands at the top level
//! itself.

use graceful_core::{Declared, Migration, Migrations, Value, Version};

use super::Reader;
use super::lexer::{Lexer, Token};

/// A token that was taken, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken<'a> {
    Name(&'a [u8]),
    Punct(u8),
    /// The text `graceful`.
    Graceful,
    Other,
}

impl<'a> Taken<'a> {
    pub(super) fn from(token: &Token<'a>) -> Self {
        match token {
            Token::Name(name) => Taken::Name(name),
            Token::Punct(byte) => Taken::Punct(*byte),
            Token::Text(Some(text)) if **text == *b"graceful" => Taken::Graceful,
            _ => Taken::Other,
        }
    }
}

impl<'a> Reader<'a> {
    /// The last tokens that were taken, the newest first.
    fn taken(&self) -> [Taken<'a>; 8] {
        let mut taken = self.taken;
        taken.rotate_left(self.oldest);
        taken.reverse();
        taken
    }

    /// `require 'graceful'` was read: it may be what a local of the top level becomes.
    pub(super) fn is_graceful(&mut self, bracket: bool) {
        if let [Taken::Name(b"require"), Taken::Punct(b'='), Taken::Name(name), Taken::Name(b"local"), ..] =
            self.taken()[1 + usize::from(bracket)..]
            && self.frames.len() == 1
        {
            self.graceful.push(name);
        }
    }

    /// After `register_module`, which follows a dot or colon.
    pub(super) fn registers(&mut self) {
        let before = match self.taken() {
            [_, Taken::Punct(b'.'), Taken::Name(object), before, ..] if self.graceful.contains(&object) => {
                before
            }
            [
                _,
                Taken::Punct(b'.'),
                Taken::Punct(b')'),
                Taken::Graceful,
                Taken::Punct(b'('),
                Taken::Name(b"require"),
                before,
                ..,
            ] => before,
            _ => return self.registers.push(None),
        };
        let may_be_left_out = matches!(before, Taken::Name(b"and" | b"or"));
        let certain = self.frames.len() == 1 && !self.returned && !may_be_left_out;
        self.registers.push(certain.then(|| (self.lexer.clone(), self.token.clone())));
    }

    /// What is certain to be registered as `name`: a second registration, or anything that must be computed, leaves
    /// it open.
    pub(super) fn declared(&self, name: &str) -> Option<Declared> {
        let [Some((lexer, token))] = &self.registers[..] else { return None };
        let mut call = Call { lexer: lexer.clone(), token: token.clone(), graceful: &self.graceful };
        call.take(b'(')?;
        if call.text()? != name {
            return None;
        }
        if call.take(b')').is_some() {
            return Some(Declared::default());
        }
        call.take(b',')?;
        let mut declared = Declared::default();
        let mut steps = Vec::new();
        call.table(|call, key| match key {
            Key::Name("version") => call.version().map(|version| declared.version = Some(version)),
            Key::Name("migrations") => call.table(|call, key| call.steps(key, &mut steps)),
            Key::Name(_) => call.skip().map(drop),
            Key::Place => None,
        })?;
        call.take(b')')?;
        declared.migrations = Migrations::new(steps).ok()?;
        Some(declared)
    }
}

/// What stands before a value in a table.
#[derive(Clone, Copy)]
enum Key<'k> {
    Name(&'k str),
    /// Nothing: it is counted.
    Place,
}

/// The arguments of the call, read once more from its bracket on.
struct Call<'r, 'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    graceful: &'r [&'a [u8]],
}

impl<'a> Call<'_, 'a> {
    fn advance(&mut self) -> Token<'a> {
        let token = self.lexer.next();
        std::mem::replace(&mut self.token, token)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.token == Token::Punct(byte)).then(|| drop(self.advance()))
    }

    fn text(&mut self) -> Option<String> {
        let Token::Text(Some(text)) = &self.token else { return None };
        let text = String::from_utf8(text.to_vec()).ok()?;
        self.advance();
        Some(text)
    }

    /// A table constructor, each of whose values `read` takes.
    fn table(&mut self, mut read: impl FnMut(&mut Self, Key) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        while self.take(b'}').is_none() {
            let key = self.key()?;
            read(self, key.as_deref().map_or(Key::Place, Key::Name))?;
            if self.take(b',').or_else(|| self.take(b';')).is_none() && self.token != Token::Punct(b'}') {
                return None;
            }
        }
        Some(())
    }

    /// `name =` or `['name'] =`, if there is one.
    fn key(&mut self) -> Option<Option<String>> {
        if self.take(b'[').is_some() {
            let key = self.text()?;
            self.take(b']')?;
            self.take(b'=')?;
            return Some(Some(key));
        }
        let before = (self.lexer.clone(), self.token.clone());
        if let Token::Name(name) = self.advance()
            && self.take(b'=').is_some()
            && self.token != Token::Punct(b'=')
        {
            return Some(Some(String::from_utf8(name.to_vec()).ok()?));
        }
        (self.lexer, self.token) = before;
        Some(None)
    }

    /// `'1.2.3'`, `{1, 2, 3}` or `graceful.semver(1, 2, 3)`.
    fn version(&mut self) -> Option<Version> {
        let value = match &self.token {
            Token::Name(name) if self.graceful.contains(name) => {
                self.advance();
                self.take(b'.')?;
                let Token::Name(b"semver") = self.advance() else { return None };
                self.take(b'(')?;
                let mut parts = vec![self.plain()?];
                while self.take(b',').is_some() {
                    parts.push(self.plain()?);
                }
                self.take(b')')?;
                if let [Value::Str(_) | Value::List(_)] = &parts[..] {
                    parts.remove(0)
                } else {
                    Value::List(parts)
                }
            }
            _ => self.plain()?,
        };
        // It ends here, and is no part of an expression.
        let ends = matches!(self.token, Token::Punct(b',' | b';' | b'}'));
        ends.then(|| Version::from_value(&value).ok())?
    }

    fn plain(&mut self) -> Option<Value> {
        match &self.token {
            Token::Text(_) => self.text().map(Value::Str),
            Token::Number => {
                // The lexer stands behind the number.
                let number: i64 = self.lexer.last_number()?.parse().ok()?;
                self.advance();
                Some(Value::Int(number))
            }
            Token::Punct(b'{') => {
                let mut items = Vec::new();
                self.table(|call, key| match key {
                    Key::Place => call.plain().map(|item| items.push(item)),
                    Key::Name(_) => None,
                })?;
                Some(Value::List(items))
            }
            _ => None,
        }
    }

    /// The steps under one key: one by the version it begins at, several, or one of a list.
    fn steps(&mut self, key: Key, steps: &mut Vec<Migration>) -> Option<()> {
        let from = match key {
            Key::Name(from) => Some(Version::parse(from).ok()?),
            Key::Place => None,
        };
        let before = (self.lexer.clone(), self.token.clone());
        if let Some(step) = self.step(from.clone()) {
            steps.push(step);
            return Some(());
        }
        (self.lexer, self.token) = before;
        let from = Some(from?);
        self.table(|call, key| match key {
            Key::Place => call.step(from.clone()).map(|step| steps.push(step)),
            Key::Name(_) => None,
        })
    }

    fn step(&mut self, mut from: Option<Version>) -> Option<Migration> {
        let (mut to, mut up, mut down, mut lossy) = (None, false, false, false);
        self.table(|call, key| {
            match key {
                Key::Name("from") => from = Some(call.version()?),
                Key::Name("to") => to = Some(call.version()?),
                Key::Name("up") => up = call.skip()?,
                Key::Name("down") => down = call.skip()?,
                Key::Name("lossy") => lossy = call.skip()?,
                _ => return None,
            }
            Some(())
        })?;
        Some(Migration { from: from?, to: to?, up, down, lossy })
    }

    /// Skips a value of any kind. Whether it is there: not `nil`, not `false`.
    fn skip(&mut self) -> Option<bool> {
        let is = !matches!(self.token, Token::Name(b"nil" | b"false"));
        let mut depth = 0_usize;
        loop {
            match &self.token {
                Token::Punct(b',' | b';' | b'}') if depth == 0 => return Some(is),
                Token::Punct(b'(' | b'[' | b'{') => depth += 1,
                Token::Punct(b')' | b']' | b'}') => depth = depth.checked_sub(1)?,
                Token::Name(b"function" | b"do" | b"if" | b"repeat") => depth += 1,
                Token::Name(b"end" | b"until") => depth = depth.checked_sub(1)?,
                Token::End => return None,
                _ => {}
            }
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::scan;

    fn told(text: &str) -> Option<String> {
        let declared = scan(text.as_bytes(), "web.lua", "web").1?;
        let version = declared.version.map_or("none".to_owned(), |version| version.to_string());
        Some(format!("{version}; {}", declared.migrations).trim_end_matches("; ").to_owned())
    }

    const HEAD: &str = "local graceful = require 'graceful'\n";

    #[test]
    fn ver_03_constants_of_a_registration_at_the_top_are_read() {
        let hooks = "init = function(mod) if mod then for i = 1, 2 do mod.x = { i } end end end,";
        let step = "{ to = '2.0.0', up = function(s) return { s.a, (s.b) } end, down = nil }";
        for (text, declared) in [
            ("graceful.register_module('web')".to_owned(), "none"),
            ("local me = graceful.register_module('web', { version = '1.2.3' }).state".to_owned(), "1.2.3"),
            (format!("graceful.register_module('web', {{ {hooks} version = {{1, 2, 3}} }})"), "1.2.3"),
            (
                "graceful.register_module('web', { version = graceful.semver(2, 0, 10); })".to_owned(),
                "2.0.10",
            ),
            (
                "graceful.register_module('web', { ['version'] = graceful.semver('2.0.0') })".to_owned(),
                "2.0.0",
            ),
            (
                format!(
                    "require('graceful').register_module('web', {{ version = '2.0.0', drain = x > 1 and f(1),
                    migrations = {{ ['1.0.0'] = {step}, ['0.9.0'] = {{ {step}, }} }} }}) return {{}}"
                ),
                "2.0.0; 0.9.0 -> 2.0.0 (up only), 1.0.0 -> 2.0.0 (up only)",
            ),
            (
                "graceful.register_module('web', { version = '2.0.0', migrations = {
                    { from = {1, 0, 0}, to = '2.0.0', up = up, down = down, lossy = true } } })"
                    .to_owned(),
                "2.0.0; 1.0.0 -> 2.0.0 (up and down)",
            ),
        ] {
            let text = format!("{HEAD}{text}");
            assert_eq!(told(&text).as_deref(), Some(declared), "{text}");
        }
        assert!(
            told("local g = require('graceful') g.register_module('web', { version = '1.0.0' })").is_some()
        );
    }

    #[test]
    fn ver_03_what_is_not_certain_is_left_open() {
        for text in [
            "",
            "graceful.register_module('other', { version = '1.0.0' })",
            "graceful.register_module('web', { version = VERSION })",
            "graceful.register_module('web', { version = '1.0' .. '.0' })",
            "graceful.register_module('web', { version = 1 + 1 })",
            "graceful.register_module('web', options)",
            "graceful.register_module(name, { version = '1.0.0' })",
            "if x then graceful.register_module('web', { version = '1.0.0' }) end",
            "if x then return end graceful.register_module('web', { version = '1.0.0' })",
            "local me = x or graceful.register_module('web', { version = '1.0.0' })",
            "local function f() graceful.register_module('web', { version = '1.0.0' }) end",
            "other.register_module('web', { version = '1.0.0' })",
            "graceful.register_module('web', { version = '1.0.0', migrations = steps })",
            "graceful.register_module('web', { version = '1.0.0', [key] = 1 })",
            "graceful.register_module('web', { version = '1.0.0', migrations = { ['1'] = { to = '2.0.0' } } })",
            "graceful.register_module('web', { version = '1.0.0' }) graceful.register_module('web')",
            "graceful.register_module('web', { version = '1.0.0'",
        ] {
            assert_eq!(told(&format!("{HEAD}{text}")), None, "{text}");
        }
    }
}
