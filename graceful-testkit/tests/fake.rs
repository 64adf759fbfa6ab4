//! The reference backend keeps every promise.

use graceful_testkit::FakeSubject;

graceful_testkit::conformance!(FakeSubject);
