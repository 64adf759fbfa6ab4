//! A configuration in a file of its own: TOML or JSON.

use std::path::Path;

use graceful_core::{Config, Value};
use toml::de::DeTable;

use super::ManifestError;
use super::read::{Fields, Text};

/// Reads a configuration, a table of sections: TOML, or JSON if the file's name ends so.
///
/// # Errors
/// It cannot be read or is neither; with its line and column.
pub fn read_document(path: &Path) -> Result<Config, ManifestError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = Text { file: &file, text: "" };
        text.error(0..0, format!("cannot read it: {error}"))
    })?;
    let source = Text { file: &file, text: text.strip_prefix('\u{feff}').unwrap_or(&text) };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Config::new(json(source)?).map_err(|error| source.error(0..0, error.to_string())),
        Some("toml") => toml(source),
        _ => Err(source.error(0..0, "its name ends in neither `.toml` nor `.json`")),
    }
}

fn toml(source: Text<'_>) -> Result<Config, ManifestError> {
    let table = DeTable::parse(source.text)
        .map_err(|error| source.error(error.span().unwrap_or(0..0), error.message().to_owned()))?;
    let fields = Fields::new(source, table.get_ref());
    let document = Value::Map(fields.everything()?);
    Config::new(document).map_err(|error| fields.unfit(&error))
}

fn json(source: Text<'_>) -> Result<Value, ManifestError> {
    serde_json::from_str(source.text).map_err(|error| {
        let line = source.text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let at = line.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let at = (0..=at.min(source.text.len())).rev().find(|at| source.text.is_char_boundary(*at));
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        source.error(at.unwrap_or(0)..at.unwrap_or(0), message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let folder = format!("{}/", dir.path().display());
        read_document(&path).map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn cfg_05_toml_and_json_are_one_document_and_errors_have_a_place() {
        let toml = read("a.toml", "[web]\nport = 80\nhosts = ['a']\n").unwrap();
        let json = read("a.json", r#"{"web": {"port": 80, "hosts": ["a"]}}"#).unwrap();
        assert_eq!(toml, json);
        let error = read("a.json", "{\"web\": {\n  \"port\": eighty}}").unwrap_err();
        assert_eq!(error, "a.json:2:11: expected value");
        assert!(read("a.toml", "[web]\nport = \n").unwrap_err().starts_with("a.toml:2:"));
        let marked = read("a.json", "\u{feff}{\"web\": {\"port\": 80, \"hosts\": [\"a\"]}}").unwrap();
        assert_eq!(marked, json);
        assert!(read("a.yaml", "web: 1").unwrap_err().contains("neither"));
        assert!(read("a.json", "[1]").unwrap_err().contains("a table of sections"));
    }

    #[test]
    fn cfg_05_every_kind_of_value_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,1.5,1.0,true,null,"x",{}],"b":9223372036854775807}"#;
        let config = read("a.json", text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn cfg_05_what_would_be_lost_is_told_with_its_place() {
        let error = read("a.json", "{\"web\": {},\n \"web\": {\"port\": 80}}").unwrap_err();
        assert!(error.ends_with("the key `web` stands here twice"), "{error}");
        assert!(error.starts_with("a.json:2:"), "{error}");
        let error = read("a.json", "{\"web\": 18446744073709551615}").unwrap_err();
        assert!(error.starts_with("a.json:1:") && error.ends_with("the number is too large"), "{error}");
        let error = read("a.toml", "[web]\nport = 80\nwait = inf\n").unwrap_err();
        assert_eq!(error, "a.toml:3:8: a configuration cannot hold `web.wait`: inf is no number to be kept");
        let error = read("a.toml", "[web]\nwaits = [1.0, nan]\n").unwrap_err();
        assert!(error.starts_with("a.toml:2:15: "), "{error}");
    }
}
