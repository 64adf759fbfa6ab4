//! What a reload would do.

use graceful_core::Plan;
use serde::{Deserialize, Serialize};

use super::{Failure, SCHEMA_VERSION, word_fields};

/// What a reload would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether a plan could be made.
    pub ok: bool,
    /// The generation it was made against.
    pub generation: u64,
    /// Modules in load order, those that leave at the end.
    pub steps: Vec<PlanStep>,
    /// In which order modules are unloaded.
    pub unload: Vec<String>,
    /// A hash over everything in the plan.
    pub fingerprint: String,
    /// Why there is no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One step of a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanStep {
    /// The module.
    pub module: String,
    /// The backend.
    pub backend: String,
    /// `load`, `reload`, `remove` or `retire`.
    pub action: String,
    /// Why.
    pub reason: String,
    /// The version that is live; the new one is known once the new code has run.
    #[serde(default)]
    pub live: Option<String>,
}

impl PlanReply {
    /// The reply that shows a plan, or why there is none.
    pub fn new(result: Result<Plan, Failure>) -> Self {
        let schema_version = SCHEMA_VERSION;
        match result {
            Ok(plan) => Self {
                schema_version,
                ok: true,
                generation: plan.base.0,
                steps: plan.steps.iter().map(word_fields).collect(),
                unload: plan.unload.iter().map(ToString::to_string).collect(),
                fingerprint: plan.fingerprint,
                failure: None,
            },
            Err(failure) => Self {
                schema_version,
                ok: false,
                generation: failure.generation,
                steps: Vec::new(),
                unload: Vec::new(),
                fingerprint: String::new(),
                failure: Some(failure),
            },
        }
    }
}
