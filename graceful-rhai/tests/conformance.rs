//! The promises that every backend keeps, on Rhai. What it cannot keep is in [`Subject::capabilities`] and in
//! the crate's documentation.

mod subject;

use subject::RhaiSubject;

graceful_testkit::conformance!(RhaiSubject);
