//! Scenarios, snapshots, a reference backend and a conformance suite for graceful
