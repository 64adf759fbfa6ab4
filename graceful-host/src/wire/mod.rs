//! What the admin socket and the command line say, as data: replies with a `schema_version`.

use serde::{Deserialize, Serialize};

mod console;
mod history;
mod plan;
mod reload;
mod roles;
mod status;

pub use console::{ConsoleFailure, ConsoleReply, ConsoleRequest};
pub use history::{HistoryEntry, HistoryReply, PhaseEntry, ReloadEntry, StartedEntry, StoppedEntry};
pub use plan::{PlanReply, PlanStep};
pub use reload::{Failure, MigrationStep, ModuleChange, ReloadReply, ReloadRequest, Summary};
pub use roles::{
    ApplyReply, ChangeReply, ConfigReply, ConfigRequest, DiffReply, NamesRequest, RoleDone, RoleReply,
    RolesReply, RolesShown, TroubleReply,
};
pub use status::{HeldReply, LastReloadReply, LeakReply, ModuleReply, StatusReply};

/// The version of every reply's form. It changes when a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// Core's words and these are spelled the same; a test holds that they stay so.
pub(crate) fn word_fields<T: for<'de> Deserialize<'de>>(words: &impl Serialize) -> T {
    let words = serde_json::to_value(words).expect("plain words are JSON");
    serde_json::from_value(words).expect("core and wire spell these the same")
}

#[cfg(test)]
mod tests {
    use graceful_core::instance::Trouble;
    use graceful_core::status::{EngineState, Held, LastReload, Leak, ModuleStatus, RoleStatus, RolesStatus};
    use graceful_core::{
        Action, Callback, Generation, InstanceState, Outcome, Phase, Plan, Reason, RoleInfo, Status, Step,
        Version,
    };

    use super::*;

    fn role() -> RoleInfo {
        RoleInfo {
            name: "router".into(),
            module: "app.router".into(),
            dependencies: vec!["app.storage".into()],
            permanent: false,
            hidden: true,
            config_schema: None,
            callbacks: [Callback::Init, Callback::OnApplyConfig].into(),
        }
    }

    fn roles() -> RolesStatus {
        RolesStatus {
            state: InstanceState::ReloadError,
            trouble: Some(Trouble {
                code: "GR0508".into(),
                message: "why".into(),
                phase: Some(Phase::Activate),
                generation: 4,
            }),
            reload_forbidden: true,
            roles: vec![RoleStatus { info: role(), backend: "rhai".into(), enabled: true, running: false }],
        }
    }

    #[test]
    fn core_and_wire_spell_the_same() {
        let held = Held { born: 1, by: vec!["call in web".into()] };
        let module = ModuleStatus {
            name: "web".into(),
            backend: "lua".into(),
            version: Some(Version::new(1, 2, 3)),
            generation: 4,
            in_flight: 5,
            waiting: 7,
            tasks: 6,
            state_age_ms: 8,
            held: vec![held],
        };
        let last =
            LastReload { result: "refused".into(), code: Some("GR0301".into()), module: None, message: None };
        let status = Status {
            state: EngineState::Stuck,
            generation: 4,
            generations: 2,
            calls_held: 9,
            modules: vec![module],
            leaks: vec![Leak { module: "db".into(), born: 1, by: vec!["call in web".into()] }],
            kept: vec![graceful_core::status::KeptStatus {
                backend: "lua".into(),
                module: Some("web".into()),
                lasts_ms: 1500,
                message: "a call into `web`".into(),
            }],
            last_reload: Some(last),
            roles: roles(),
        };
        let reply = StatusReply::new("shop", "/srv/shop", None, &status);
        assert_eq!((reply.state.as_str(), reply.modules[0].tasks), ("stuck", 6));
        assert_eq!((reply.modules[0].waiting, reply.leaks[0].module.as_str()), (7, "db"));
        assert_eq!(reply.modules[0].version.as_deref(), Some("1.2.3"));

        let roles = reply.roles;
        assert_eq!((roles.state.as_str(), roles.reload_forbidden), ("ReloadError", true));
        assert_eq!(roles.trouble.unwrap().phase.as_deref(), Some("activate"));
        assert_eq!(roles.roles[0].callbacks, ["init", "on_apply_config"]);
        assert_eq!((roles.roles[0].module.as_str(), roles.roles[0].enabled), ("app.router", true));

        let step = Step {
            module: "web".into(),
            backend: "lua".into(),
            action: Action::Reload,
            reason: Reason::DependsOn("db".into()),
            live: Some(Version::new(1, 2, 3)),
        };
        let plan = Plan { base: Generation(3), steps: vec![step], unload: vec![], fingerprint: "f".into() };
        let reply = PlanReply::new(Ok(plan));
        assert_eq!(
            (reply.steps[0].action.as_str(), reply.steps[0].reason.as_str()),
            ("reload", "depends on db")
        );
        assert_eq!(reply.steps[0].live.as_deref(), Some("1.2.3"));
        assert_eq!((Outcome::RolledBack.as_str(), Phase::Stage.as_str()), ("rolled_back", "stage"));
    }
}
