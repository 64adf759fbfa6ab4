//! docs/module-authors.md, step by step: its sources are saved, its lines are typed, its answers are what comes.

mod common;

use common::AppDir;
use graceful_host::wire::{ConsoleReply, ConsoleRequest};

const PAGE: &str = include_str!("../../docs/module-authors.md");

/// The fenced blocks, with their languages.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut parts = PAGE.split("\n```").skip(1);
    let mut blocks = Vec::new();
    while let (Some(block), Some(_text)) = (parts.next(), parts.next()) {
        blocks.push(block.split_once('\n').expect("a block has a language"));
    }
    blocks
}

/// What the command prints for a reply.
fn printed(reply: &ConsoleReply) -> String {
    match &reply.failure {
        None => reply.values.join("\n"),
        Some(failure) => match &failure.place {
            Some(place) => format!("error[{}]: {}\n --> {place}", failure.code, failure.message),
            None => format!("error[{}]: {}", failure.code, failure.message),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reg_01_the_way_from_an_ordinary_module_to_a_reloadable_one_goes_as_the_page_says() {
    let (dir, mut running, mut lines) = (AppDir::new(&[]), None, 0);
    for (language, text) in blocks() {
        match language {
            "toml" => dir.write("graceful.toml", text),
            "lua" => {
                let name = text.lines().next().and_then(|line| line.strip_prefix("-- ")).expect("its file");
                dir.write(name, text);
            }
            "console" => {
                if running.is_none() {
                    running = Some(dir.start(dir.options()).await);
                }
                for said in text.split("$ graceful console --eval ").skip(1) {
                    let (line, expected) = said.split_once('\n').unwrap_or((said, ""));
                    let line = line.trim_matches('"').to_owned();
                    let request = ConsoleRequest { line, ..Default::default() };
                    let reply = dir.admin().console(&request).await.unwrap();
                    assert_eq!(printed(&reply), expected.trim_end(), "{}", request.line);
                    lines += 1;
                }
            }
            other => panic!("what is a block of {other}?"),
        }
    }
    assert!(lines > 10, "{lines} lines were typed");
    assert!(running.unwrap().stop().await);
}
