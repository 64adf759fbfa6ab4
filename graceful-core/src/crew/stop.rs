//! Stopping roles: the callback, then everything that the role started is released.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Crew, Member};
use crate::generation::Instance;
use crate::hook::release;
use crate::role::{Callback, Did, RoleError, RoleReport, StopReport};
use crate::scope::Resource;
use crate::value::Value;

/// A role that was stopped, and what it has registered that is still in the table.
pub(crate) struct Stopped {
    pub(crate) member: Member,
    pub(crate) keys: BTreeSet<(String, String)>,
}

impl Crew {
    /// Stops a role, whatever its `stop` fails with. What `stays` names is not released.
    pub(crate) async fn stop(
        &self,
        member: Member,
        opts: &Value,
        budget: Duration,
        stays: impl Fn(&[Arc<dyn Resource>]) -> BTreeSet<u64>,
        warnings: &mut Vec<String>,
    ) -> (Stopped, Option<RoleError>) {
        let error = self.tell(&member, Callback::Stop, vec![opts.clone()], budget).await.err();
        let scope = &member.instance.scope;
        let ended = scope.end_run(&stays(&scope.in_run()));
        self.release(&member.instance, ended.resources, budget, warnings).await;
        self.note(&member.role.name, None);
        (Stopped { member, keys: ended.keys }, error)
    }

    /// Releases what a role has started, each within `budget`.
    pub(crate) async fn release(
        &self,
        instance: &Arc<Instance>,
        resources: Vec<Arc<dyn Resource>>,
        budget: Duration,
        warnings: &mut Vec<String>,
    ) {
        for resource in resources {
            release(&self.world, instance, resource, budget, |warning| warnings.push(warning)).await;
        }
    }

    /// Stops every role that runs, dependents first, going on past errors.
    pub(crate) async fn stop_all(&self) -> StopReport {
        let opts = self.board.desk().opts.clone();
        let mut report = StopReport::default();
        for member in self.running().into_iter().rev() {
            let began = self.world.clock.now();
            let (role, module) = (member.role.name.clone(), member.role.module.clone());
            let (budget, mut warnings) = (self.limits.retire, Vec::new());
            let (stopped, error) = self.stop(member, &opts, budget, |_| BTreeSet::new(), &mut warnings).await;
            stopped.member.instance.scope.withdraw(&stopped.keys);
            let code = error.as_ref().map(|error| error.code().to_string());
            let error = error.map(|error| error.to_string()).or_else(|| warnings.into_iter().next());
            let took = self.world.clock.now().saturating_sub(began);
            let did = Did::Stopped;
            report.roles.push(RoleReport { role, module, did, running: false, error, code, took });
        }
        report
    }
}
