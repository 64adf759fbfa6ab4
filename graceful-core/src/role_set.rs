//! The registered roles: who depends on whom, and which run when some are enabled.

use std::collections::{BTreeMap, BTreeSet};

use crate::near::nearest;
use crate::role::{RoleError, RoleInfo};
use crate::source::Name;
use crate::value::Value;

/// The roles that are asked for by name, without their dependencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enabled(pub BTreeSet<String>);

impl Enabled {
    /// From a list of names, or a map of names to booleans; nothing is none.
    ///
    /// # Errors
    /// It is something else.
    pub fn from_value(value: &Value) -> Result<Self, RoleError> {
        let wrong = |got: &Value| RoleError::Names { got: got.kind().into() };
        let names: Result<Vec<Option<String>>, RoleError> = match value {
            Value::Null => Ok(Vec::new()),
            Value::List(names) => names
                .iter()
                .map(|name| name.as_str().map(|name| Some(name.to_owned())).ok_or_else(|| wrong(name)))
                .collect(),
            Value::Map(map) => map
                .iter()
                .map(|(name, on)| match on {
                    Value::Bool(on) => Ok(on.then(|| name.clone())),
                    other => Err(wrong(other)),
                })
                .collect(),
            other => Err(wrong(other)),
        };
        Ok(Self(names?.into_iter().flatten().collect()))
    }
}

impl<T: Into<String>> FromIterator<T> for Enabled {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self(names.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Enabled {
    fn from(names: [T; N]) -> Self {
        names.into_iter().collect()
    }
}

/// The registered roles, in registration order: every role after its dependencies. Never changes; a reload makes
/// another.
#[derive(Clone, Debug, Default)]
pub struct RoleSet {
    roles: Vec<RoleInfo>,
    /// For each role the places of its direct dependencies.
    below: Vec<Vec<usize>>,
    by_name: BTreeMap<String, usize>,
    by_module: BTreeMap<Name, usize>,
}

/// Where the walk through the dependencies is.
enum Walk {
    Enter(Name),
    Leave(Name),
}

impl RoleSet {
    /// Registers `modules` and what they depend on. `read` gives what a module declares.
    ///
    /// # Errors
    /// A module declares it wrongly, two have one name, or they depend on each other in a ring.
    pub fn register(
        modules: &[Name],
        mut read: impl FnMut(&Name) -> Result<RoleInfo, RoleError>,
    ) -> Result<Self, RoleError> {
        let mut set = Self::default();
        let (mut open, mut path): (BTreeMap<Name, RoleInfo>, Vec<Name>) = Default::default();
        let mut stack: Vec<Walk> = modules.iter().rev().cloned().map(Walk::Enter).collect();
        while let Some(step) = stack.pop() {
            match step {
                Walk::Enter(module) if set.by_module.contains_key(&module) => {}
                Walk::Enter(module) if open.contains_key(&module) => {
                    let from = path.iter().position(|open| *open == module).unwrap_or(0);
                    let path = path[from..].iter().cloned().chain([module]).collect();
                    return Err(RoleError::Cycle { path });
                }
                Walk::Enter(module) => {
                    let info = read(&module)?;
                    stack.push(Walk::Leave(module.clone()));
                    stack.extend(info.dependencies.iter().rev().cloned().map(Walk::Enter));
                    path.push(module.clone());
                    open.insert(module, info);
                }
                Walk::Leave(module) => {
                    path.pop();
                    let info = open.remove(&module).expect("it was entered");
                    set.add(info)?;
                }
            }
        }
        Ok(set)
    }

    fn add(&mut self, info: RoleInfo) -> Result<(), RoleError> {
        if let Some(first) = self.by_name.get(&info.name) {
            let (role, first) = (info.name, self.roles[*first].module.clone());
            return Err(RoleError::NameClash { role, first, second: info.module });
        }
        let at = self.roles.len();
        let below: BTreeSet<usize> = info.dependencies.iter().map(|module| self.by_module[module]).collect();
        self.by_name.insert(info.name.clone(), at);
        self.by_module.insert(info.module.clone(), at);
        self.below.push(below.into_iter().collect());
        self.roles.push(info);
        Ok(())
    }

    /// Every role, in registration order, hidden and permanent ones too.
    pub fn all(&self) -> &[RoleInfo] {
        &self.roles
    }

    /// The names of all, in registration order.
    pub fn get_all_roles(&self) -> Vec<String> {
        self.names(|_, _| true)
    }

    /// The names of those that are neither hidden nor permanent.
    pub fn get_known_roles(&self) -> Vec<String> {
        self.names(|_, role| !role.hidden)
    }

    /// The role of this name.
    pub fn get_role(&self, name: &str) -> Option<&RoleInfo> {
        self.by_name.get(name).map(|at| &self.roles[*at])
    }

    /// The role that `module` is.
    pub fn of_module(&self, module: &str) -> Option<&RoleInfo> {
        self.by_module.get(module).map(|at| &self.roles[*at])
    }

    /// Everything `name` depends on, directly or not, without hidden and permanent roles.
    ///
    /// # Errors
    /// There is no such role.
    pub fn get_role_dependencies(&self, name: &str) -> Result<Vec<String>, RoleError> {
        let at = self.at(name)?;
        let reached = self.below(self.below[at].clone());
        Ok(self.names(|at, role| reached[at] && !role.hidden))
    }

    /// What runs when `roles` are enabled: permanent roles, those, and everything they depend on; in registration
    /// order, so that each comes after its dependencies.
    ///
    /// # Errors
    /// One of them is unknown.
    pub fn get_enabled_roles(&self, roles: &Enabled) -> Result<Vec<String>, RoleError> {
        let reached = self.reached(roles)?;
        Ok(self.names(|at, _| reached[at]))
    }

    /// The enabled roles that no other enabled one depends on, without hidden and permanent ones and what only
    /// those depend on.
    ///
    /// # Errors
    /// One of them is unknown.
    pub fn get_enabled_roles_without_deps(&self, roles: &Enabled) -> Result<Vec<String>, RoleError> {
        let reached = self.reached(roles)?;
        let listed = |at: usize| reached[at] && !self.roles[at].hidden;
        let seeds = (0..self.roles.len()).filter(|at| listed(*at)).flat_map(|at| self.below[at].clone());
        let below = self.below(seeds.collect());
        Ok(self.names(|at, _| listed(at) && !below[at]))
    }

    fn reached(&self, roles: &Enabled) -> Result<Vec<bool>, RoleError> {
        let permanent = self.roles.iter().enumerate().filter(|(_, role)| role.permanent).map(|(at, _)| at);
        let mut seeds: Vec<usize> = permanent.collect();
        for name in &roles.0 {
            seeds.push(self.at(name)?);
        }
        Ok(self.below(seeds))
    }

    /// `seeds` and everything below them.
    fn below(&self, mut stack: Vec<usize>) -> Vec<bool> {
        let mut reached = vec![false; self.roles.len()];
        while let Some(at) = stack.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                stack.extend(&self.below[at]);
            }
        }
        reached
    }

    fn names(&self, of: impl Fn(usize, &RoleInfo) -> bool) -> Vec<String> {
        let named = self.roles.iter().enumerate().filter(|(at, role)| of(*at, role));
        named.map(|(_, role)| role.name.clone()).collect()
    }

    fn at(&self, name: &str) -> Result<usize, RoleError> {
        self.by_name.get(name).copied().ok_or_else(|| {
            let near = nearest(name, self.by_name.keys().map(String::as_str)).map(str::to_owned);
            RoleError::Unknown { role: name.to_owned(), near }
        })
    }
}

#[cfg(test)]
mod tests;
