//! Programs that prove and measure `graceful`. Not published. What they are built on is the public interface of
//! the testkit and of the host, so that whoever uses it can do the same with modules of their own.

pub mod cores;
pub mod http;
pub mod kill;

pub mod storm;
pub mod subjects;
pub mod fuzz;
