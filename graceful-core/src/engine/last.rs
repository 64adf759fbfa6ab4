//! How the last reload ended, in the words of the status.

use super::Outcomes;
use crate::source::Name;
use crate::status::LastReload;

pub(super) fn of(result: &Outcomes) -> LastReload {
    match result {
        Ok(report) => {
            LastReload { result: report.outcome.as_str().into(), code: None, module: None, message: None }
        }
        Err(error) => LastReload {
            result: error.report.outcome.as_str().into(),
            code: Some(error.code().to_string()),
            module: error.module().map(Name::to_string),
            message: Some(error.explain()),
        },
    }
}
