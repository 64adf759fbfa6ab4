//! What roles are called back for before and after a configuration is applied.

use super::Crew;
use crate::role::{Callback, Operation, RoleError, RoleInfo};
use crate::role_set::{Enabled, RoleSet};
use crate::value::Value;

impl Crew {
    /// The roles that run with these enabled, each after its dependencies; an error if nothing may be applied now.
    pub(super) fn to_be_told(&self, set: &RoleSet, enabled: &Enabled) -> Result<Vec<RoleInfo>, RoleError> {
        let state = self.board.desk().state;
        if state.after(Operation::Apply).is_none() {
            return Err(RoleError::State { operation: Operation::Apply, state });
        }
        let names = set.get_enabled_roles(enabled)?;
        Ok(names.iter().filter_map(|name| set.get_role(name)).cloned().collect())
    }

    /// Calls back each of `order`, and gives what failed: that holds up nobody.
    pub(super) async fn around(&self, order: &[RoleInfo], callback: Callback, args: &[Value]) -> Vec<String> {
        let mut failed = Vec::new();
        for role in order {
            let Some(member) = self.member(role) else { continue };
            let told = self.tell(&member, callback, args.to_vec(), self.limits.role).await;
            failed.extend(told.err().map(|error| error.to_string()));
        }
        failed
    }

    /// The same by itself, outside of an apply. Whoever calls has the turn.
    pub(crate) async fn only_around(
        &self,
        enabled: &Enabled,
        callback: Callback,
        args: &[Value],
    ) -> Result<Vec<String>, RoleError> {
        let set = self.board.desk().set.clone();
        let order = self.to_be_told(&set, enabled)?;
        Ok(self.around(&order, callback, args).await)
    }
}
