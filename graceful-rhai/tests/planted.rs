//! The suite finds every bug that is planted, on this backend.

mod subject;

use subject::RhaiSubject;

graceful_testkit::planted!(RhaiSubject);
