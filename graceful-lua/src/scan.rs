//! Finds the requires of a text by reading it, and what it registers with.

use graceful_core::{Declared, Place, Require};
use memchr::memmem;

use self::declared::Taken;
use self::lexer::{Lexer, Token};
use self::spots::Spots;

mod declared;
mod lexer;
mod spots;
mod strings;

/// Every `require` of `text` with a constant name, in the order of the text, and what is certain to be registered
/// as `name`. Reads Lua 5.1 to 5.4, LuaJIT and Luau; a text that does not parse gives what was found on the way.
pub(crate) fn scan(text: &[u8], origin: &str, name: &str) -> (Vec<Require>, Option<Declared>) {
    let words: [&[u8]; 2] = [b"require", b"register_module"];
    // Most modules have what is looked for at their top, and behind the last of these words there is none.
    match words.iter().filter_map(|word| memmem::find_iter(text, word).last()).max() {
        Some(last) => scan_to(last, text, origin, name),
        None => Default::default(),
    }
}

/// Reads `text` up to the token that begins after `last`.
fn scan_to(last: usize, text: &[u8], origin: &str, name: &str) -> (Vec<Require>, Option<Declared>) {
    let mut reader = Reader::new(text);
    while reader.token != Token::End && reader.at <= last {
        reader.read();
    }
    let declared = reader.declared(name);
    let mut spots = Spots::new(text);
    let found = reader.found.into_iter().map(|(name, at, deferred)| {
        let (line, column) = spots.of(at);
        Require { name: name.into(), place: Place::new(origin, line, column), deferred }
    });
    (found.collect(), declared)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Function,
    /// `do`, `if`, and whatever else ends with `end`.
    Plain,
    /// Ends with `until`.
    Repeat,
    /// The `if` of Luau that is an expression and ends with its `else`.
    Choice,
}

struct Frame {
    block: Block,
    /// `require` is a local of this block, so it names something else.
    shadowed: bool,
}

/// What may follow, as far as it tells an `if` that is a statement from one that is an expression.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Statement,
    Expression,
    Member,
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Where `token` begins, in bytes.
    at: usize,
    expect: Expect,
    frames: Vec<Frame>,
    functions: usize,
    shadows: usize,
    found: Vec<(String, usize, bool)>,
    /// The last tokens that were taken: a ring, whose next place is the oldest one.
    taken: [Taken<'a>; 8],
    oldest: usize,
    /// The locals that are `graceful`.
    graceful: Vec<&'a [u8]>,
    /// Where registrations begin; `None` if it is uncertain whether one runs.
    registers: Vec<Option<(Lexer<'a>, Token<'a>)>>,
    /// The top level may have ended.
    returned: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        let mut lexer = Lexer::new(text);
        let token = lexer.next();
        let at = lexer.began();
        let chunk = Frame { block: Block::Plain, shadowed: false };
        Self {
            lexer,
            token,
            at,
            expect: Expect::Statement,
            frames: vec![chunk],
            functions: 0,
            shadows: 0,
            found: Vec::new(),
            taken: [Taken::Other; 8],
            oldest: 0,
            graceful: Vec::new(),
            registers: Vec::new(),
            returned: false,
        }
    }

    /// Takes the next token; the one before says what may come.
    fn advance(&mut self) -> Token<'a> {
        let token = self.lexer.next();
        self.at = self.lexer.began();
        let taken = std::mem::replace(&mut self.token, token);
        self.taken[self.oldest] = Taken::from(&taken);
        self.oldest = (self.oldest + 1) % self.taken.len();
        self.expect = match &taken {
            Token::Punct(b'.' | b':') => Expect::Member,
            Token::Punct(
                b'=' | b'(' | b',' | b'{' | b'[' | b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'#',
            )
            | Token::Punct(b'<' | b'&' | b'|' | b'~')
            | Token::Concat
            | Token::Interpolated => Expect::Expression,
            Token::Name(
                b"and" | b"or" | b"not" | b"return" | b"while" | b"until" | b"if" | b"elseif" | b"in",
            ) => Expect::Expression,
            _ => Expect::Statement,
        };
        taken
    }

    fn read(&mut self) {
        let Token::Name(word) = self.token else {
            self.advance();
            return;
        };
        let (at, expect) = (self.at, self.expect);
        self.advance();
        if expect == Expect::Member {
            if word == b"register_module" {
                self.registers();
            }
            return;
        }
        match word {
            b"function" => self.function(),
            b"do" => self.open(Block::Plain),
            b"if" if expect == Expect::Expression => self.open(Block::Choice),
            b"if" => self.open(Block::Plain),
            b"repeat" => self.open(Block::Repeat),
            b"then" if self.top() == Block::Choice => self.expect = Expect::Expression,
            b"else" if self.top() == Block::Choice => {
                self.close();
                self.expect = Expect::Expression;
            }
            b"end" => {
                self.drop_choices();
                if matches!(self.top(), Block::Plain | Block::Function) {
                    self.close();
                }
            }
            b"until" => {
                self.drop_choices();
                if self.top() == Block::Repeat {
                    self.close();
                }
            }
            b"local" => self.local(),
            b"require" => self.require(at),
            b"return" => self.returned |= self.functions == 0,
            _ => {}
        }
    }

    fn top(&self) -> Block {
        self.frames.last().map_or(Block::Plain, |frame| frame.block)
    }

    fn open(&mut self, block: Block) {
        self.functions += usize::from(block == Block::Function);
        self.frames.push(Frame { block, shadowed: false });
    }

    fn close(&mut self) {
        if self.frames.len() > 1
            && let Some(frame) = self.frames.pop()
        {
            self.functions -= usize::from(frame.block == Block::Function);
            self.shadows -= usize::from(frame.shadowed);
        }
    }

    fn drop_choices(&mut self) {
        while self.top() == Block::Choice {
            self.close();
        }
    }

    fn shadow(&mut self) {
        if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.shadowed) {
            frame.shadowed = true;
            self.shadows += 1;
        }
    }

    /// After `function`: its name, then its parameters.
    fn function(&mut self) {
        while matches!(self.token, Token::Name(_) | Token::Punct(b'.' | b':')) {
            self.advance();
        }
        self.open(Block::Function);
        if self.token != Token::Punct(b'(') {
            return;
        }
        self.advance();
        while matches!(self.token, Token::Name(_) | Token::Punct(b',')) {
            if self.advance() == Token::Name(b"require") {
                self.shadow();
            }
        }
    }

    /// After `local`: names, perhaps with attributes; then perhaps what the first of them becomes.
    fn local(&mut self) {
        if self.token == Token::Name(b"function") {
            self.advance();
            if self.token == Token::Name(b"require") {
                self.shadow();
            }
            return self.function();
        }
        let mut shadowed = false;
        let mut names = 0;
        while let Token::Name(name) = self.token {
            self.advance();
            shadowed |= name == b"require";
            names += 1;
            if self.token == Token::Punct(b'<') {
                self.advance();
                self.advance();
                self.advance();
            }
            if self.token != Token::Punct(b',') {
                break;
            }
            self.advance();
        }
        if !shadowed {
            return;
        }
        if self.token == Token::Punct(b'=') {
            self.advance();
            if self.token == Token::Name(b"require") {
                let at = self.at;
                self.advance();
                let alias =
                    !matches!(self.token, Token::Text(_) | Token::Punct(b'.' | b':' | b'[' | b'(' | b'{'));
                self.require(at);
                if names == 1 && alias {
                    return;
                }
            }
        }
        self.shadow();
    }

    /// After `require`, which stands `at` this byte: notes it if it is called with one constant text.
    fn require(&mut self, at: usize) {
        if self.shadows > 0 {
            return;
        }
        let bracket = self.token == Token::Punct(b'(');
        if bracket {
            self.advance();
        }
        let Token::Text(Some(_)) = self.token else { return };
        let Token::Text(Some(name)) = self.advance() else {
            return;
        };
        if bracket && !matches!(self.token, Token::Punct(b')' | b',')) {
            return;
        }
        if *name == *b"graceful" {
            self.is_graceful(bracket);
        }
        if let Ok(name) = String::from_utf8(name.into_owned()) {
            self.found.push((name, at, self.functions > 0));
        }
    }
}

#[cfg(test)]
mod tests;
