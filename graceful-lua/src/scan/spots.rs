//! Where bytes of a text stand, as people count: counted only for what is told, and once through the text.

use super::lexer::is_newline;

/// Lines and columns, from 1. Columns count characters.
pub(super) struct Spots<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Spots<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        // What a byte order mark takes is no column.
        let at = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { text, at, line: 1, column: 1 }
    }

    /// The line and the column of the byte `at`, which is not before the one that was asked for last.
    pub(super) fn of(&mut self, at: usize) -> (u32, u32) {
        while self.at < at {
            let byte = self.text[self.at];
            self.at += 1;
            if is_newline(byte) {
                let pair = self.text.get(self.at).is_some_and(|next| is_newline(*next) && *next != byte);
                self.at += usize::from(pair);
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else if byte & 0xc0 != 0x80 {
                self.column = self.column.saturating_add(1);
            }
        }
        (self.line, self.column)
    }
}
