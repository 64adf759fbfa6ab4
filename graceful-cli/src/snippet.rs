//! A failure as a person reads it: code, message, place, the source line with a caret, what serves now.

use std::fmt::Write;
use std::path::Path;

use graceful_host::wire::Failure;

/// What colours text, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn error(self, text: &str) -> String {
        self.with("1;31", text)
    }

    fn frame(self, text: &str) -> String {
        self.with("1;34", text)
    }
}

/// `failure` in several lines. `folder` is the app's: places are shown as paths that can be opened from here.
pub fn render(failure: &Failure, folder: Option<&Path>, paint: Paint) -> String {
    let mut text = format!("{}: {}\n", paint.error(&format!("error[{}]", failure.code)), failure.message);
    if let Some(place) = &failure.place {
        let mut shown = (**place).clone();
        if let Some(path) = folder.map(|folder| folder.join(&place.file)).filter(|path| path.is_file()) {
            shown.file = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        }
        let number = place.line.map(|line| line.to_string()).unwrap_or_default();
        let margin = " ".repeat(number.len());
        let _ = writeln!(text, "{margin}{} {shown}", paint.frame("-->"));
        if let Some(line) = &failure.source_line {
            let (line, column) = window(line, place.column);
            let bar = paint.frame("|");
            let _ = writeln!(text, "{margin} {bar}");
            let _ = writeln!(text, "{} {bar} {line}", paint.frame(&number));
            let _ = writeln!(text, "{margin} {bar} {}", paint.error(&mark(&line, column)));
        }
    }
    let note = |text: &mut String, note: &str| {
        let _ = writeln!(text, "  {} {note}", paint.frame("="));
    };
    for left in &failure.left {
        note(&mut text, &format!("not undone: {left}"));
    }
    if let Some(said) = serves(failure) {
        note(&mut text, &said);
    }
    if failure.retryable {
        note(&mut text, "the same may succeed later, with nothing changed: ask again");
    }
    text
}

/// How much of a line is shown.
const WIDTH: usize = 160;

/// The part of a long line that `column` is in, and the column in that part.
fn window(line: &str, column: Option<u32>) -> (String, Option<u32>) {
    let length = line.chars().count();
    if length <= WIDTH {
        return (line.to_owned(), column);
    }
    let at = column.map_or(0, |column| column.saturating_sub(1) as usize);
    let first = at.saturating_sub(WIDTH / 2).min(length - WIDTH);
    let shown: String = line.chars().skip(first).take(WIDTH).collect();
    let (before, after) =
        (if first > 0 { "..." } else { "" }, if first + WIDTH < length { "..." } else { "" });
    let moved = column.map(|_| (at - first + before.len() + 1) as u32);
    (format!("{before}{shown}{after}"), moved)
}

/// What stands under the line: a caret at the column, or a line under all of it where no column is known.
fn mark(line: &str, column: Option<u32>) -> String {
    let blank = |text: &str| -> String { text.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect() };
    if let Some(column) = column {
        let before: String = line.chars().take(column.saturating_sub(1) as usize).collect();
        return format!("{}^", blank(&before));
    }
    let code = line.trim();
    let indent = &line[..line.len() - line.trim_start().len()];
    format!("{}{}", blank(indent), "^".repeat(code.chars().count().max(1)))
}

fn serves(failure: &Failure) -> Option<String> {
    let phase = failure.phase.as_deref().map(|phase| format!(" in {phase}")).unwrap_or_default();
    let serving = match failure.generation {
        0 => "nothing serves".to_owned(),
        generation => format!("generation {generation} serves"),
    };
    match failure.outcome.as_str() {
        "refused" => Some(format!("refused{phase}, nothing was touched; {serving}")),
        "rolled_back" => Some(format!("failed{phase} and was rolled back; {serving}")),
        "stuck" => {
            Some(format!("failed{phase} and could not be undone; {serving}, its state may be damaged"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(json: &str) -> Failure {
        let whole = r#"{"code":"GR0301","outcome":"refused","phase":"plan","module":"web","retryable":false,
            "message":"module `web` cannot be loaded: unexpected '}'","rolled_back":[],"left":[],"generation":3}"#;
        let mut whole: serde_json::Value = serde_json::from_str(whole).unwrap();
        let more: serde_json::Value = serde_json::from_str(json).unwrap();
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn tx_02_a_syntax_error_is_shown_with_its_line_and_a_caret() {
        let failed =
            failure(r#"{"place":{"file":"web.lua","line":12,"column":13},"source_line":"\tlocal tea = }"}"#);
        let expected = "error[GR0301]: module `web` cannot be loaded: unexpected '}'\n  --> web.lua:12:13\n   |\n\
                        12 | \tlocal tea = }\n   | \t           ^\n  = refused in plan, nothing was touched; \
                        generation 3 serves\n";
        assert_eq!(render(&failed, None, Paint(false)), expected);
    }

    #[test]
    fn of_a_long_line_the_part_with_the_error_is_shown() {
        let line = format!("{}local x = }}{}", "a".repeat(400), "b".repeat(400));
        let place = r#"{"place":{"file":"web.lua","line":1,"column":411},"source_line":"LINE"}"#;
        let text = render(&failure(&place.replace("LINE", &line)), None, Paint(false));
        let shown: Vec<&str> = text.lines().filter(|line| line.contains("| ")).collect();
        assert!(shown[0].starts_with("1 | ...aaa") && shown[0].ends_with("bbb..."), "{text}");
        assert!(shown.iter().all(|line| line.len() < 200), "{text}");
        let caret = shown[1].find('^').unwrap();
        assert_eq!(&shown[0][caret..=caret], "}", "{text}");
    }

    #[test]
    fn without_a_column_the_whole_line_is_marked_and_without_a_place_there_is_none() {
        let failed =
            failure(r#"{"place":{"file":"web.lua","line":2,"column":null},"source_line":"  return x  "}"#);
        assert!(render(&failed, None, Paint(false)).contains("2 |   return x  \n  |   ^^^^^^^^\n"));
        let failed = failure(r#"{"outcome":"stuck","left":["checkpoint of web"],"generation":3}"#);
        let text = render(&failed, None, Paint(false));
        assert!(!text.contains("-->") && text.contains("not undone: checkpoint of web"), "{text}");
        assert!(render(&failed, None, Paint(true)).contains("\x1b[1;31m"));
    }

    #[test]
    fn what_may_succeed_later_is_told_as_such() {
        let late = r#"{"code":"GR0108","message":"calls outlast it","phase":"drain","retryable":true}"#;
        let text = render(&failure(late), None, Paint(false));
        assert!(
            text.ends_with("  = the same may succeed later, with nothing changed: ask again\n"),
            "{text}"
        );
        assert!(!render(&failure("{}"), None, Paint(false)).contains("later"));
    }
}
