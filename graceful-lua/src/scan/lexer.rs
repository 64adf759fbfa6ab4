//! Cuts Lua text into tokens, just finely enough to find requires. Every plan reads what changed this way: what a token
//! costs is a good part of that.

use std::borrow::Cow;

/// One token. Keywords are names here; what is not told apart does not matter for finding requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// An identifier or keyword.
    Name(&'a [u8]),
    /// A string constant, `None` if it is malformed.
    Text(Option<Cow<'a, [u8]>>),
    /// A number.
    Number,
    /// `..`
    Concat,
    /// `...`
    Vararg,
    /// `::`
    Colons,
    /// The part of an interpolated string before an expression.
    Interpolated,
    /// Any other single byte.
    Punct(u8),
    /// The end of the text.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Brace {
    Plain,
    Interpolation,
}

/// Reads tokens one by one. Every byte is looked at a bounded number of times, and no text makes it fail.
#[derive(Clone)]
pub(crate) struct Lexer<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Where the last token begins.
    began: usize,
    pub(super) braces: Vec<Brace>,
}

impl<'a> Lexer<'a> {
    /// A lexer at the beginning of `text`, after a byte order mark and a `#` line.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut lexer = Self { text, at: start, began: start, braces: Vec::new() };
        if lexer.peek(0) == Some(b'#') {
            lexer.skip_line();
        }
        lexer
    }

    /// The number that was the last token.
    pub(super) fn last_number(&self) -> Option<&'a str> {
        let before = &self.text[..self.at];
        let from = before.iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        std::str::from_utf8(&before[from..]).ok()
    }

    pub(crate) fn next(&mut self) -> Token<'a> {
        self.skip_blank();
        self.began = self.at;
        self.token()
    }

    /// Where the last token begins, in bytes.
    pub(crate) fn began(&self) -> usize {
        self.began
    }

    fn token(&mut self) -> Token<'a> {
        let Some(byte) = self.peek(0) else {
            return Token::End;
        };
        match byte {
            b'"' | b'\'' => Token::Text(self.quoted(byte)),
            b'`' => self.interpolated(),
            b'[' => match self.long_bracket() {
                Some(value) => Token::Text(value),
                None => self.punct(byte),
            },
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'.' if self.text[self.at..].starts_with(b"...") => self.several(3, Token::Vararg),
            b'.' if self.peek(1) == Some(b'.') => self.several(2, Token::Concat),
            b':' if self.peek(1) == Some(b':') => self.several(2, Token::Colons),
            b'{' => {
                self.braces.push(Brace::Plain);
                self.punct(byte)
            }
            b'}' => match self.braces.pop() {
                Some(Brace::Interpolation) => self.interpolated(),
                _ => self.punct(byte),
            },
            _ if is_name(byte) => {
                let from = self.at;
                self.skip_while(|byte| CLASS[usize::from(byte)] & (NAME | DIGIT) != 0);
                Token::Name(&self.text[from..self.at])
            }
            _ => self.punct(byte),
        }
    }

    fn punct(&mut self, byte: u8) -> Token<'a> {
        self.several(1, Token::Punct(byte))
    }

    pub(super) fn several(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.at += bytes;
        token
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|byte| !keep(*byte)).unwrap_or(rest.len());
    }

    fn skip_line(&mut self) {
        self.skip_while(|byte| !is_newline(byte));
    }

    /// Steps over one line end, which may be a pair.
    pub(super) fn newline(&mut self) {
        let first = self.peek(0);
        self.at += 1;
        if self.peek(0).is_some_and(is_newline) && self.peek(0) != first {
            self.at += 1;
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.skip_while(is_blank);
            if self.peek(0) != Some(b'-') || self.peek(1) != Some(b'-') {
                return;
            }
            self.at += 2;
            if self.peek(0) != Some(b'[') || self.long_bracket().is_none() {
                self.skip_line();
            }
        }
    }

    fn number(&mut self) -> Token<'a> {
        let hex = self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X'));
        let exponent = if hex { [b'p', b'P'] } else { [b'e', b'E'] };
        while let Some(byte) = self.peek(0) {
            if !byte.is_ascii_alphanumeric() && byte != b'.' && byte != b'_' {
                break;
            }
            self.at += 1;
            if exponent.contains(&byte) && matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
        }
        Token::Number
    }
}

const BLANK: u8 = 1;
const NAME: u8 = 2;
const DIGIT: u8 = 4;

/// What each byte may be part of.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < class.len() {
        class[byte] = match byte as u8 {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => BLANK,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => NAME,
            b'0'..=b'9' => DIGIT,
            _ => 0,
        };
        byte += 1;
    }
    class
};

pub(super) fn is_blank(byte: u8) -> bool {
    CLASS[usize::from(byte)] & BLANK != 0
}

pub(super) fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn is_name(byte: u8) -> bool {
    CLASS[usize::from(byte)] & NAME != 0
}
