//! Lines of source text, indented.

use std::collections::BTreeSet;
use std::fmt::Display;

use graceful_core::Value;

use crate::script::Step;

/// Lines of source text, indented by the blocks they stand in.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    depth: usize,
}

impl Page {
    pub(super) fn line(&mut self, line: impl Display) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    /// A line that opens a block, what is in it, and a line that closes it.
    pub(super) fn block(&mut self, open: impl Display, close: impl Display, inside: impl FnOnce(&mut Self)) {
        self.line(open);
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line(close);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A text in double quotes, as both languages read it.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// A name that can stand for a module in source text.
pub(super) fn variable(module: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("m_{}", module.chars().map(fits).collect::<String>())
}

/// Whether the steps can be written by the version they begin at: each another one, and written as text.
pub(super) fn single_texts(steps: &[Step]) -> bool {
    let texts = steps.iter().filter_map(|step| step.from.as_str());
    texts.collect::<BTreeSet<_>>().len() == steps.len()
        && steps.iter().all(|s| matches!(s.from, Value::Str(_)))
}
