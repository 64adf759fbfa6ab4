//! Native modules keep the promises about hooks and rollback.

use graceful_testkit::NativeSubject;

graceful_testkit::conformance!(NativeSubject);
