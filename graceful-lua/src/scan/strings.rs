//! The string constants of Lua: quoted, long and interpolated.

use std::borrow::Cow;

use super::lexer::{Brace, Lexer, Token, is_blank, is_newline};

impl<'a> Lexer<'a> {
    /// At a `[`: steps over `[==[ ... ]==]` and returns what is between; the inner `None` if it does not
    /// end. The outer `None`, without a step, if this is no long bracket.
    pub(super) fn long_bracket(&mut self) -> Option<Option<Cow<'a, [u8]>>> {
        let level = self.text[self.at + 1..].iter().take_while(|byte| **byte == b'=').count();
        if self.peek(level + 1) != Some(b'[') {
            return None;
        }
        self.at += level + 2;
        let from = self.at;
        loop {
            self.skip_while(|byte| byte != b']');
            let to = self.at;
            if self.peek(0).is_none() {
                return Some(None);
            }
            self.at += 1;
            let signs = self.at;
            self.skip_while(|byte| byte == b'=');
            if self.at - signs == level && self.peek(0) == Some(b']') {
                self.at += 1;
                return Some(Some(long_value(&self.text[from..to])));
            }
        }
    }

    /// At a quote: steps over the string and returns it, `None` if it is malformed.
    pub(super) fn quoted(&mut self, quote: u8) -> Option<Cow<'a, [u8]>> {
        self.at += 1;
        let mut value = Cow::Borrowed(&[][..]);
        let mut sound = true;
        loop {
            let from = self.at;
            self.skip_while(|byte| byte != quote && byte != b'\\' && !is_newline(byte));
            let plain = &self.text[from..self.at];
            match &mut value {
                Cow::Borrowed([]) => value = Cow::Borrowed(plain),
                value => value.to_mut().extend_from_slice(plain),
            }
            match self.peek(0)? {
                byte if byte == quote => {
                    self.at += 1;
                    return sound.then_some(value);
                }
                b'\\' => sound &= self.escape(value.to_mut()),
                _ => return None,
            }
        }
    }

    /// At a backslash: appends what it stands for; false if it stands for nothing.
    fn escape(&mut self, value: &mut Vec<u8>) -> bool {
        self.at += 1;
        let Some(byte) = self.peek(0) else { return false };
        let plain = match byte {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'"' | b'\'' | b'`' | b'{' => byte,
            _ if is_newline(byte) => {
                self.newline();
                value.push(b'\n');
                return true;
            }
            b'z' => {
                self.at += 1;
                self.skip_while(is_blank);
                return true;
            }
            b'x' => return self.coded(1, 2, 16, value),
            b'u' if self.peek(1) == Some(b'{') => {
                let sound = self.coded(2, 8, 16, value);
                let closed = self.peek(0) == Some(b'}');
                self.at += usize::from(closed);
                return sound && closed;
            }
            b'0'..=b'9' => return self.coded(0, 3, 10, value),
            _ => return false,
        };
        value.push(plain);
        self.at += 1;
        true
    }

    /// Reads at most `digits` digits after `skip` bytes and appends their byte or, for `\u`, character.
    fn coded(&mut self, skip: usize, digits: usize, radix: u32, value: &mut Vec<u8>) -> bool {
        let (unicode, from) = (skip == 2, self.at + skip);
        self.at = from;
        let mut code = 0;
        while let Some(digit) = self.peek(0).and_then(|byte| (byte as char).to_digit(radix)) {
            if self.at - from == digits {
                break;
            }
            code = code * radix + digit;
            self.at += 1;
        }
        if self.at == from {
            return false;
        }
        match (unicode, u8::try_from(code), char::from_u32(code)) {
            (false, Ok(byte), _) => value.push(byte),
            (true, _, Some(letter)) => value.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => return false,
        }
        true
    }

    /// At the opening backtick, or after the `}` of an expression: reads on to the end or the next `{`.
    pub(super) fn interpolated(&mut self) -> Token<'a> {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'`' => return self.several(1, Token::Text(None)),
                b'{' => {
                    self.braces.push(Brace::Interpolation);
                    return self.several(1, Token::Interpolated);
                }
                b'\\' => self.at = (self.at + 2).min(self.text.len()),
                _ => self.at += 1,
            }
        }
        Token::Text(None)
    }
}

/// A line end right after the opening bracket is not part of a long string, the others are one `\n` each.
fn long_value(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.iter().any(|byte| is_newline(*byte)) {
        return Cow::Borrowed(raw);
    }
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw.iter().copied().peekable();
    let mut first = true;
    while let Some(byte) = rest.next() {
        if is_newline(byte) {
            rest.next_if(|next| is_newline(*next) && *next != byte);
            if !first {
                value.push(b'\n');
            }
        } else {
            value.push(byte);
        }
        first = false;
    }
    Cow::Owned(value)
}
