//! Finds the requires of a text by reading it.

/// Every `require` of `text` with a constant name, in the order of the text.
pub fn scan(_text: &[u8], _origin: &str) -> Vec<graceful_core::Require> {
    Vec::new()
}
