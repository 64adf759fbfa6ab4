//! Starting a role and telling it the configuration, outside of a reload: what a callback does goes live together, or
//! not at all if it fails.

use std::time::Duration;

use super::{Crew, Member, let_go};
use crate::callback::CallbackRun;
use crate::report::DrainPolicy;
use crate::role::{Callback, RoleError};
use crate::staging::{Staging, panic_text};
use crate::value::Value;

impl Crew {
    /// Runs `init`. If it fails, nothing that it started is left.
    pub(crate) async fn init(
        &self,
        member: &Member,
        opts: &Value,
        budget: Duration,
        warnings: &mut Vec<String>,
    ) -> Result<(), RoleError> {
        member.instance.scope.begin_run();
        let started = self.together(member, Callback::Init, vec![opts.clone()], budget, warnings).await;
        if started.is_err() {
            let ended = member.instance.scope.end_run(&Default::default());
            member.instance.scope.withdraw(&ended.keys);
            self.release(&member.instance, ended.resources, budget, warnings).await;
        }
        started
    }

    /// Runs one callback of live code. What it starts, registers and sets as globals is seen by others once it has
    /// returned, and not at all if it fails.
    pub(crate) async fn together(
        &self,
        member: &Member,
        callback: Callback,
        args: Vec<Value>,
        budget: Duration,
        warnings: &mut Vec<String>,
    ) -> Result<(), RoleError> {
        let Member { role, instance } = member;
        if !role.callbacks.contains(&callback) {
            return Ok(());
        }
        let world = &self.world;
        let generation = world.gate.live();
        let staging =
            Staging::new(world.clone(), generation, false, &self.backends, budget, DrainPolicy::Abort);
        staging.join(instance);
        let run = CallbackRun { role, instance, callback, args, generation, budget };
        let result = run.run(world, Some(staging.intents.clone())).await;
        if result.is_ok() {
            staging.commit(&mut || {});
            let panics = staging.intents.commit();
            warnings.extend(panics.iter().map(|panic| format!("an effect failed: {}", panic_text(panic))));
        } else {
            let left = let_go(&staging, generation, self.limits.hook).await;
            warnings.extend(left.into_iter().map(|(_, message)| message));
            staging.discard();
        }
        result
    }

    /// Runs one callback of live code whose effects are seen at once.
    pub(crate) async fn tell(
        &self,
        member: &Member,
        callback: Callback,
        args: Vec<Value>,
        budget: Duration,
    ) -> Result<(), RoleError> {
        let Member { role, instance } = member;
        let generation = self.world.gate.live();
        let run = CallbackRun { role, instance, callback, args, generation, budget };
        run.run(&self.world, None).await
    }
}
