//! The example of roles, as it is used: reloaded and configured under load, broken, and mended.

mod common;
#[path = "../../examples/roles/audit.rs"]
mod audit;

use std::sync::atomic::Ordering;

use audit::Audit;
use common::{AppDir, Client, Load, get, until};
use graceful_host::Running;
use graceful_host::wire::{ConfigRequest, Failure, NamesRequest};

const ALL: [&str; 6] = ["heartbeat", "storage", "pricing", "router", "reporter", "audit"];

/// A copy of the example.
fn app() -> AppDir {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/roles");
    let dir = AppDir::new(&[]);
    for file in std::fs::read_dir(example).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() && !name.ends_with(".rs") {
            dir.write(name, &std::fs::read_to_string(&path).unwrap());
        }
    }
    dir
}

/// Served with a role in Rust beside those of the folder.
async fn served(dir: &AppDir) -> (Running, Audit) {
    let audit = Audit::default();
    let told = audit.clone();
    (dir.start(dir.options().role("audit", move || told.clone())).await, audit)
}

fn tea(cents: u32) -> String {
    format!(r#"{{"cents":{cents},"currency":"EUR","item":"tea"}}"#)
}

fn config(discount: i64) -> ConfigRequest {
    let text = format!(
        r#"{{"config": {{"pricing": {{"discount": {discount}}}, "router": {{"currency": "EUR"}},
        "reporter": {{"every": 0.05}}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

async fn refused(dir: &AppDir) -> Failure {
    dir.admin().reload_roles().await.unwrap().failure.expect("the reload fails")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn role_07_roles_of_three_languages_run_in_one_graph() {
    let dir = app();
    let (running, audit) = served(&dir).await;
    assert_eq!(running.host().engine().roles().running(), ALL);
    let reply = dir.admin().roles().await.unwrap().roles;
    let shown: Vec<_> =
        reply.roles.iter().map(|role| (role.backend.as_str(), role.hidden, role.permanent)).collect();
    assert_eq!(
        shown,
        [
            ("rhai", true, true),
            ("lua", true, false),
            ("rhai", false, false),
            ("lua", false, false),
            ("lua", false, false),
            ("native", true, true)
        ]
    );
    assert_eq!(get(&running, "/price/tea").await, (200, tea(378)));
    assert_eq!(audit.runs.load(Ordering::Relaxed), 1);
    let names = NamesRequest { names: vec!["reporter".into()] };
    let reply = dir.admin().enable_roles(&names, false).await.unwrap();
    assert!(reply.ok, "{:?}", reply.failure);
    assert_eq!(running.host().engine().roles().running(), ["heartbeat", "storage", "audit"]);
    assert_eq!((get(&running, "/price/tea").await.0, get(&running, "/report").await.0), (404, 404));
    assert_eq!(get(&running, "/beats").await.0, 200);
    assert!(dir.admin().enable_roles(&names, true).await.unwrap().ok);
    assert_eq!(running.host().engine().roles().running(), ALL);
    assert_eq!(get(&running, "/price/tea").await, (200, tea(378)));
    let metrics = running.host().metrics();
    for line in [
        "graceful_roles_state{state=\"RolesConfigured\"} 1\n",
        "graceful_roles_state{state=\"Stuck\"} 0\n",
        "graceful_roles_running 6\n",
        "graceful_role_callbacks_total{role=\"reporter\",callback=\"init\",result=\"ok\"} 2\n",
        "graceful_roles_state_changes_total{state=\"RolesConfigured\"} 3\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_under_load_a_reload_of_roles_and_an_apply_fail_no_request() {
    let dir = app();
    let (running, audit) = served(&dir).await;
    let load = Load::start(&running, 4, "/price/tea", |status, body| {
        let good = [10, 20, 30].map(|discount| tea(420 - 42 * discount / 10));
        (status != 200 || !good.contains(&body.to_owned())).then(|| format!("{status} {body}"))
    })
    .await;
    for round in 0..6 {
        let before = load.answered();
        let reply = dir.admin().reload_roles().await.unwrap();
        assert!(reply.ok, "round {round}: {:?}", reply.failure);
        let reload = reply.reload.unwrap();
        assert_eq!(reload.modules.len(), ALL.len(), "all of them, changed or not");
        assert!(reload.warnings.is_empty(), "tasks of frozen modules end: {:?}", reload.warnings);
        let reply = dir.admin().apply_config(&config(10 * (round % 3 + 1))).await.unwrap();
        assert!(reply.ok, "round {round}: {:?}", reply.failure);
        while load.answered() < before + 20 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    assert!(load.finish().await >= 120);
    assert_eq!(audit.runs.load(Ordering::Relaxed), 7);
    assert_eq!(get(&running, "/price/tea").await, (200, tea(294)));
    let sold = running.host().engine().call("storage", "sold", Vec::new()).await.unwrap();
    assert!(sold.as_int().unwrap() >= 120, "what is stored outlives every reload: {sold}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sm_04_a_typo_stops_no_role_and_a_failing_init_brings_the_previous_five_back() {
    let dir = app();
    let (running, audit) = served(&dir).await;
    let whole = std::fs::read_to_string(dir.file("router.lua")).unwrap();
    dir.write("router.lua", &whole.replace("http.route('GET'", "http.route(('GET'"));
    let failure = refused(&dir).await;
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0301", "refused"));
    assert_eq!(failure.place.unwrap().file, "router.lua");
    assert_eq!(audit.runs.load(Ordering::Relaxed), 1, "no role was stopped");
    assert_eq!(dir.admin().status().await.unwrap().roles.state, "ReloadError");
    dir.write("router.lua", &whole);

    dir.edit("pricing.rhai", "fn init(opts) {", "fn init(opts) {\n    throw \"no scales\";");
    let mut client = Client::connect(&running).await;
    let failure = refused(&dir).await;
    assert_eq!((failure.code.as_str(), failure.outcome.as_str()), ("GR0508", "rolled_back"));
    assert!(failure.message.contains("init of role `pricing`") && failure.message.contains("no scales"));
    let undone: Vec<&str> = failure.rolled_back.iter().map(String::as_str).collect();
    for role in ALL {
        assert!(undone.iter().any(|step| step.contains(&format!("role {role}"))), "{role}: {undone:?}");
    }
    let at = |role: &str| undone.iter().position(|step| step.contains(&format!("role {role}"))).unwrap();
    assert!(at("storage") < at("pricing") && at("pricing") < at("router"), "{undone:?}");
    assert!(failure.left.is_empty(), "{:?}", failure.left);
    assert_eq!(client.get("/price/tea").await.unwrap(), (200, tea(378)));
    assert_eq!(running.host().engine().roles().running(), ALL);
    let trouble = dir.admin().roles().await.unwrap().roles.trouble.unwrap();
    assert_eq!((trouble.code.as_str(), trouble.phase.as_deref()), ("GR0508", Some("activate")));

    dir.edit("pricing.rhai", "    throw \"no scales\";", "");
    assert!(dir.admin().reload_roles().await.unwrap().ok);
    let status = dir.admin().status().await.unwrap();
    assert_eq!((status.roles.state.as_str(), status.roles.trouble.is_none()), ("RolesConfigured", true));
    let beats = get(&running, "/beats").await.1;
    let begun = std::time::Instant::now();
    while get(&running, "/beats").await.1 == beats {
        assert!(begun.elapsed() < common::PATIENCE, "the heart of the new code does not beat");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cfg_01_a_configuration_that_a_role_refuses_changes_nothing() {
    let dir = app();
    let (running, audit) = served(&dir).await;
    for (discount, code, told) in [(91, "GR0517", "`pricing.discount`: 91 is greater than the maximum of 90")]
    {
        let reply = dir.admin().apply_config(&config(discount)).await.unwrap();
        let failure = reply.failure.unwrap();
        assert_eq!((failure.code.as_str(), failure.outcome.as_str()), (code, "refused"));
        assert!(failure.message.contains(told), "{}", failure.message);
    }
    assert_eq!(audit.configurations.load(Ordering::Relaxed), 1);
    until(&running, "/price/tea", &tea(378)).await;
    running.stop().await;
}
