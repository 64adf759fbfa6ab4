//! Brings the texts of the dialects into one shape.

/// A message in the words of Lua 5.4: what LuaJIT says differently is turned around.
pub(super) fn message(text: &str) -> String {
    let text = text.strip_prefix("runtime error: ").unwrap_or(text);
    if let Some(near) = text.strip_suffix("near '<eof>'") {
        return format!("{}near <eof>", near.replace("'<name>'", "<name>"));
    }
    turned(text).unwrap_or_else(|| text.to_owned())
}

/// `attempt to index local 'x' (a nil value)` -> `attempt to index a nil value (local 'x')`.
fn turned(text: &str) -> Option<String> {
    let rest = text.strip_prefix("attempt to ")?;
    let (rest, kind) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let kind = kind.strip_suffix(" value").filter(|kind| kind.starts_with("a "))?;
    let named = ["local", "global", "field", "upvalue", "method", "constant"];
    let at = named.iter().filter_map(|word| rest.find(&format!(" {word} '"))).min()?;
    Some(format!("attempt to {} {kind} value ({})", &rest[..at], &rest[at + 1..]))
}

/// The frames of a raw traceback that belong to scripts, as `file:12: in name`, innermost first.
pub(super) fn frames(raw: &str) -> impl Iterator<Item = String> + '_ {
    let lines = raw.lines().map(str::trim);
    let own = lines.filter(|line| {
        let (file, line) = line.split_once(':').unwrap_or_default();
        !file.is_empty()
            && file != "stack traceback"
            && line.starts_with(|c: char| c.is_ascii_digit() || c == '/' || c == '\\')
            && !file.starts_with("[C]")
            && !file.starts_with("__mlua")
            && file != "graceful"
    });
    own.map(frame)
}

/// One traceback out of several nested ones, the innermost that shows any script.
pub(super) fn traceback(raw: &[String]) -> Option<String> {
    let shown = raw.iter().map(|raw| frames(raw).collect::<Vec<_>>().join("\n"));
    shown.into_iter().find(|text| !text.is_empty())
}

/// `t.lua:1: in upvalue 'f'` -> `t.lua:1: in f`: what kind of variable held the function is told differently
/// by each dialect.
fn frame(line: &str) -> String {
    let Some((place, name)) = line.rsplit_once(": in ") else { return line.to_owned() };
    match name.strip_suffix('\'').and_then(|name| name.split_once(" '")) {
        Some((_, name)) => format!("{place}: in {}", name.trim_start_matches("__")),
        None => line.to_owned(),
    }
}
