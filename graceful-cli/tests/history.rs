//! `graceful history`: of an app that runs, of one that was killed, and of one that never ran.

mod served;

use served::App;

const MANIFEST: &str = "name = 'app'\nentry = ['web']\nlisten = '127.0.0.1:0'\n";

fn said(app: &App, arguments: &[&str]) -> (Option<i32>, String) {
    let output = app.run(arguments);
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn obs_05_the_command_shows_the_history_of_an_app_whether_it_runs_or_not() {
    let app = App::empty();
    app.write("graceful.toml", MANIFEST);
    app.write("web.lua", "return {}");
    assert_eq!(said(&app, &["history"]).0, Some(3), "it never ran");
    let mut served = app.serve(&["run"]);
    app.write("web.lua", "return { one = 1 }");
    assert_eq!(said(&app, &["reload"]).0, Some(0));
    app.write("web.lua", "return {");
    assert_eq!(said(&app, &["reload"]).0, Some(4));
    let (code, text) = said(&app, &["history"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (Some(0), 4), "{text}");
    for (line, parts) in lines.iter().zip([
        &["run 1 started, process "][..],
        &["1 reload by start: committed, generation 1: load web"],
        &["2 reload by admin: committed, generation 2: reload web ("],
        &["3 reload by admin: refused, generation 2, GR0301 "],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let (code, text) = said(&app, &["history", "--last", "1"]);
    assert!(code == Some(0) && text.lines().count() == 1 && text.contains("3 reload"), "{text}");
    app.write("web.lua", "return {}");
    let _served = app.serve(&["run"]);
    let (_, text) = said(&app, &["history", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&text).unwrap();
    let started = &history["entries"][4];
    assert_eq!(
        (&history["ok"], &started["run"], &started["after_crash"]),
        (&true.into(), &2.into(), &true.into())
    );
}
