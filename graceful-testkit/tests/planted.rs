//! The suite finds every bug that is planted, on the reference backend.

use graceful_testkit::FakeSubject;

graceful_testkit::planted!(FakeSubject);
