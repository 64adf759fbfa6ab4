//! docs/roles.md: its role in three languages does the same in each, what it lists is there, and its drawing is the
//! table of the code.

mod common;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::AppDir;
use graceful_core::asked::roles::Function;
use graceful_core::lifecycle::HookResult;
use graceful_core::{HookError, Native, NativeCx, Role, RoleCx, ScriptError, Value};
use graceful_host::HostOptions;
use graceful_host::wire::ConsoleRequest;

const PAGE: &str = include_str!("../../docs/roles.md");
const MANIFEST: &str = "name = 'page'\nentry = ['main']\n";

/// The first block of a language.
fn block(language: &str) -> &'static str {
    let opened = PAGE.split(&format!("\n```{language}\n")).nth(1).expect("a block");
    opened.split("\n```").next().unwrap_or_default()
}

/// Types the page's lines into the console of an app whose role is `greeter`.
async fn goes_as_the_page_says(files: &[(&str, &str)], with: impl FnOnce(HostOptions) -> HostOptions) {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("main.lua", "return {}")]);
    files.iter().for_each(|(name, text)| dir.write(name, text));
    let running = dir.start(with(dir.options())).await;
    running.host().engine().roles().set_reload_allowed(true);
    let mut lines = 0;
    for said in block("console").split("$ graceful console --eval ").skip(1) {
        let (line, expected) = said.split_once('\n').unwrap_or((said, ""));
        let line = line.trim().strip_prefix('"').and_then(|line| line.strip_suffix('"')).expect("quoted");
        let request = ConsoleRequest { line: line.to_owned(), ..Default::default() };
        let reply = dir.admin().console(&request).await.unwrap();
        let failure = reply.failure.map(|failure| failure.message);
        assert_eq!((reply.values.join("\n").as_str(), failure), (expected.trim_end(), None), "{line}");
        lines += 1;
        if lines == 3 {
            let line = "require('graceful.roles').service_get('greeter').greet('bob')".to_owned();
            let reply = dir.admin().console(&ConsoleRequest { line, ..Default::default() }).await.unwrap();
            assert_eq!(reply.values, ["\"hi bob\""]);
        }
    }
    let service = "require('graceful.roles').service_get('greeter')".to_owned();
    let reply = dir.admin().console(&ConsoleRequest { line: service, ..Default::default() }).await.unwrap();
    assert_eq!(reply.values, ["nil"], "it is stopped");
    assert!(lines > 8, "{lines} lines were typed");
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_the_pages_role_in_lua_goes_as_it_says() {
    goes_as_the_page_says(&[("greeter.lua", block("lua"))], |options| options).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_the_pages_role_in_rhai_goes_as_it_says() {
    goes_as_the_page_says(&[("greeter.rhai", block("rhai"))], |options| options).await;
}

// The page's Rust, which a test below holds to be the same.
// BEGIN
struct Greeter(Arc<Mutex<String>>);

#[async_trait]
impl Role for Greeter {
    fn role_name(&self) -> Option<&str> {
        Some("greeter")
    }

    async fn validate_config(&self, new: &Value, _old: &Value) -> HookResult {
        match new.get("greeter").and_then(|section| section.get("words")) {
            None | Some(Value::Str(_)) => Ok(()),
            Some(_) => Err(HookError::new("greeter.words must be a string")),
        }
    }

    async fn apply_config(&self, conf: &Value, _cx: &RoleCx) -> HookResult {
        let words = conf.get("greeter").and_then(|section| section.get("words")?.as_str());
        *self.0.lock().unwrap() = words.unwrap_or("hello").to_owned();
        Ok(())
    }

    async fn stop(&self, _cx: &RoleCx) -> HookResult {
        *self.0.lock().unwrap() = "bye".to_owned();
        Ok(())
    }
}

fn greeter(_cx: &NativeCx) -> Result<Native, ScriptError> {
    let words = Arc::new(Mutex::new("hello".to_owned()));
    let said = words.clone();
    Ok(Native::plain().role(Greeter(words)).function("greet", move |args| {
        let name = args.first().and_then(Value::as_str).unwrap_or("you");
        Ok(format!("{} {name}", said.lock().unwrap()).into())
    }))
}
// END

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_the_pages_role_in_rust_goes_as_it_says() {
    let here = include_str!("roles_page.rs").split("// BEGIN\n").nth(1);
    let here = here.and_then(|rest| rest.split("// END").next()).expect("it is between the marks");
    let page = block("rust").split_once("\n\nstruct").map(|(_, rest)| format!("struct{rest}"));
    assert_eq!(here.trim(), page.expect("imports come first").trim());
    goes_as_the_page_says(&[], |options| options.native("greeter", &[], greeter)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_08_what_the_page_lists_is_there_and_what_is_there_is_listed() {
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), ("main.lua", "return {}")]);
    let running = dir.start(dir.options()).await;
    for function in Function::ALL {
        let name = function.as_str();
        assert!(PAGE.contains(&format!("`roles.{name}(")), "the page does not list {name}");
        let line = format!("type(require('graceful.roles').{name})");
        let shown = running.host().engine().evaluate("lua", &line, common::PATIENCE).await.unwrap();
        assert_eq!(shown, ["\"function\""], "{name}");
    }
    for rest in PAGE.split("`roles.").skip(1) {
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        assert!(Function::from_name(&name).is_some(), "there is no {name}");
    }
    assert!(running.stop().await);
}

#[test]
fn sm_01_the_pages_drawing_is_the_table_of_the_code() {
    assert_eq!(block("mermaid").trim(), graceful_core::role::state::diagram().trim());
}
