//! What can be asked of the registered roles.

use std::sync::Arc;

use super::Instance;
use crate::role::{RoleError, RoleInfo};
use crate::role_set::{Enabled, RoleSet};

impl Instance {
    /// The registered roles as they are now.
    pub fn set(&self) -> Arc<RoleSet> {
        self.board().desk().set.clone()
    }

    /// The names of all roles, hidden and permanent ones too; see [`RoleSet::get_all_roles`].
    pub fn get_all_roles(&self) -> Vec<String> {
        self.set().get_all_roles()
    }

    /// The names of roles that are neither hidden nor permanent; see [`RoleSet::get_known_roles`].
    pub fn get_known_roles(&self) -> Vec<String> {
        self.set().get_known_roles()
    }

    /// What the role of this name declares.
    pub fn get_role(&self, name: &str) -> Option<RoleInfo> {
        self.set().get_role(name).cloned()
    }

    /// What a role depends on, directly or not; see [`RoleSet::get_role_dependencies`].
    ///
    /// # Errors
    /// There is no such role.
    pub fn get_role_dependencies(&self, name: &str) -> Result<Vec<String>, RoleError> {
        self.set().get_role_dependencies(name)
    }

    /// What runs when `roles` are enabled; see [`RoleSet::get_enabled_roles`].
    ///
    /// # Errors
    /// One of them is unknown.
    pub fn get_enabled_roles(&self, roles: &Enabled) -> Result<Vec<String>, RoleError> {
        self.set().get_enabled_roles(roles)
    }

    /// Which of them no other depends on; see [`RoleSet::get_enabled_roles_without_deps`].
    ///
    /// # Errors
    /// One of them is unknown.
    pub fn get_enabled_roles_without_deps(&self, roles: &Enabled) -> Result<Vec<String>, RoleError> {
        self.set().get_enabled_roles_without_deps(roles)
    }
}
