//! Modules of several languages that require each other: what one sees of the other after a reload that failed.

mod common;

use common::{AppDir, get};
use graceful_core::ReloadOptions;
use graceful_host::Cause;

const MANIFEST: &str = "name = 'mixed'\nentry = ['web']\n";

const LUA: &str = "local link = require 'link'
require('http').route('GET', '/', function() return link.name() .. ' of ' .. link.leaf() end)\n";

const RHAI: &str = "import \"http\" as http;\nimport \"link\" as link;\n
http::route(\"GET\", \"/\", |request| link::name() + \" of \" + link::leaf());\n";

fn link(language: &str, name: &str) -> (String, String) {
    let text = match language {
        "lua" => format!(
            "local leaf = require 'leaf'\nreturn {{ name = function() return '{name}' end, leaf = function() return leaf.name() end }}"
        ),
        _ => format!("import \"leaf\" as leaf;\nfn name() {{ \"{name}\" }}\nfn leaf() {{ leaf::name() }}"),
    };
    (format!("link.{language}"), text)
}

fn leaf(language: &str, name: &str) -> (String, String) {
    let text = match language {
        "lua" => format!("return {{ name = function() return '{name}' end }}"),
        _ => format!("fn name() {{ \"{name}\" }}"),
    };
    (format!("leaf.{language}"), text)
}

/// A failed reload and the next one stage the same generation: what the failed one made is nobody's.
async fn staged_and_dropped(web: (&str, &str), between: &str) {
    let (file, text) = web;
    let dir = AppDir::new(&[("graceful.toml", MANIFEST), (file, text)]);
    let write = |(file, text): (String, String)| dir.write(&file, &text);
    write(link(between, "first"));
    write(leaf(between, "first"));
    let running = dir.start(dir.options()).await;
    let reload = || running.host().reload(Cause::Embedder, ReloadOptions::default());
    assert_eq!(get(&running, "/").await.1, "first of first");
    for round in 0..3 {
        let (broken, good) = (format!("broken{round}"), format!("good{round}"));
        write(leaf(between, &broken));
        dir.write(
            file,
            &format!("{text}\n{}", if file.ends_with("lua") { "error('no')" } else { "throw \"no\";" }),
        );
        reload().await.unwrap_err();
        dir.write(file, text);
        write(leaf(between, "first"));
        write(link(between, &good));
        reload().await.unwrap();
        assert_eq!(get(&running, "/").await.1, format!("{good} of first"), "round {round}");
    }
    assert!(running.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_07_lua_sees_nothing_of_what_a_failed_reload_staged_in_rhai() {
    staged_and_dropped(("web.lua", LUA), "rhai").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tx_07_rhai_sees_nothing_of_what_a_failed_reload_staged_in_lua() {
    staged_and_dropped(("web.rhai", RHAI), "lua").await;
}
