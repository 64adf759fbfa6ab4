//! Where in its line a syntax error stands: at the token it is `near`.

use mlua::{Lua, LuaOptions, StdLib};

/// The column, from 1, of the token that `message` names, in line `line` of `text`. If it stands there more
/// than once, it is the first up to which the text already fails in the same way.
pub(super) fn of_syntax_error(text: &[u8], line: u32, message: &str) -> Option<u32> {
    let (_, token) = message.rsplit_once("near '")?;
    let token = token.strip_suffix('\'')?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let start = start_of(text, line)?;
    let row = text[start..].split(|byte| matches!(byte, b'\n' | b'\r')).next()?;
    let places = occurrences(row, token.as_bytes());
    let at = match places[..] {
        [] => return None,
        [one] => one,
        _ => {
            let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).ok()?;
            *places.get(
                places.partition_point(|at| !fails(&lua, &text[..start + at + token.len()], line, token)),
            )?
        }
    };
    let before = row[..at].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    u32::try_from(before + 1).ok()
}

fn start_of(text: &[u8], line: u32) -> Option<usize> {
    let mut starts = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    if line <= 1 { Some(0) } else { starts.nth(line as usize - 2) }
}

fn occurrences(row: &[u8], token: &[u8]) -> Vec<usize> {
    let wordy = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let (first, last) = (wordy(token.first()), wordy(token.last()));
    let whole = |at: &usize| {
        let before = *at > 0 && wordy(row.get(at - 1));
        !(first && before || last && wordy(row.get(at + token.len())))
    };
    let starts = 0..(row.len() + 1).saturating_sub(token.len().max(1));
    starts.filter(|at| row[*at..].starts_with(token)).filter(whole).collect()
}

fn fails(lua: &Lua, text: &[u8], line: u32, token: &str) -> bool {
    let text = if text.starts_with(b"#") { [b"--", text].concat() } else { text.to_vec() };
    let parsed = lua.load(text).set_name("=t").set_mode(mlua::chunk::ChunkMode::Text).into_function();
    let Err(mlua::Error::SyntaxError { message, .. }) = parsed else { return false };
    message.starts_with(&format!("t:{line}: ")) && message.ends_with(&format!("near '{token}'"))
}
