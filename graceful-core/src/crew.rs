//! Starting, telling and stopping roles, in a reload and outside of one.

mod apply;
mod around;
mod letting_go;
mod start;
mod stop;

use std::sync::Arc;

use crate::board::Board;
use crate::changes::Backends;
use crate::config::{Config, Schemas};
use crate::generation::{Instance, World};
use crate::limits::Limits;
use crate::role::{Callback, RoleError, RoleInfo};
use crate::source::Name;
use crate::value::Value;
pub(crate) use apply::Apply;
pub(crate) use letting_go::let_go;
pub(crate) use stop::Stopped;

/// The roles of one engine, with what is needed to run them.
pub(crate) struct Crew {
    pub(crate) world: Arc<World>,
    pub(crate) board: Board,
    pub(crate) backends: Arc<Backends>,
    pub(crate) limits: Limits,
    /// What compares sections with the schemas that roles give.
    pub(crate) schemas: Option<Schemas>,
}

/// A role with the code that runs it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) role: RoleInfo,
    pub(crate) instance: Arc<Instance>,
}

impl Member {
    /// Whether its code runs on the state of its module when the role is started.
    pub(crate) fn starts_on_state(&self) -> bool {
        let starting = [Callback::BeforeApplyConfig, Callback::Init, Callback::ApplyConfig];
        starting.iter().any(|callback| self.role.callbacks.contains(callback))
    }
}

impl Crew {
    /// The live code of a role.
    pub(crate) fn member(&self, role: &RoleInfo) -> Option<Member> {
        let instance = self.world.live(&role.module)?;
        Some(Member { role: role.clone(), instance })
    }

    /// The roles that run, each after its dependencies.
    pub(crate) fn running(&self) -> Vec<Member> {
        let desk = self.board.desk();
        let (set, running) = (desk.set.clone(), desk.running.clone());
        drop(desk);
        let runs = set.all().iter().filter(|role| running.contains_key(&role.name));
        runs.filter_map(|role| self.member(role)).collect()
    }

    /// Whether a role's section is what its schema says. One that is not there is an empty one.
    pub(crate) fn fits(&self, role: &RoleInfo, config: &Config) -> Result<(), RoleError> {
        let (Some(schemas), Some(schema)) = (&self.schemas, &role.config_schema) else { return Ok(()) };
        let empty = Value::map();
        schemas(schema, config.section(&role.name).unwrap_or(&empty)).map_err(|mismatch| {
            let keys = [role.name.as_str(), &mismatch.path];
            let path = keys.into_iter().filter(|keys| !keys.is_empty()).collect::<Vec<_>>().join(".");
            let (role, module) = (role.name.clone(), role.module.clone());
            RoleError::Schema { role, module, path, expected: mismatch.expected }
        })
    }

    /// Notes that a role runs, or that it does not.
    pub(crate) fn note(&self, role: &str, module: Option<&Name>) {
        let mut desk = self.board.desk();
        match module {
            Some(module) => drop(desk.running.insert(role.to_owned(), module.clone())),
            None => drop(desk.running.remove(role)),
        }
    }
}
