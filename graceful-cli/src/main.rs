//! The `graceful` command: arguments in, text or JSON out, and an exit code that says how it went.

mod args;
mod ask;
mod console;
mod exit;
mod roles;
mod serve;
mod show;
mod snippet;
mod voice;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use exit::Exit;

/// Of each thread, in bytes of address space: scripts go deep, and Rhai looks the more often the less room there is.
const STACK: usize = 32 << 20;

fn main() {
    let cli = Cli::parse();
    log(&cli.command);
    // Not one for each processor only: code that cannot be interrupted keeps one for as long as it likes.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).max(4);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).thread_stack_size(STACK).enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(run(&cli.command));
            // A task that does not end must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            voice::complain(&format!("error: {error}"));
            Exit::Failed
        }
    };
    std::process::exit(exit as i32);
}

async fn run(command: &Command) -> Exit {
    match command {
        Command::Run(serve) => serve::run(serve, false).await,
        Command::Dev(serve) => serve::run(serve, true).await,
        Command::Check(check) => serve::check(check).await,
        Command::Plan(change) => ask::plan(change).await,
        Command::Reload(reload) => ask::reload(reload).await,
        Command::Status(ask) => ask::status(ask).await,
        Command::History(asked) => ask::history(asked).await,
        Command::Console(console) => console::run(console).await,
        Command::Roles(asked) => roles::roles(asked).await,
        Command::Config(asked) => roles::config(asked).await,
        Command::Forbid(ask) => roles::forbid(ask, true).await,
        Command::Allow(ask) => roles::forbid(ask, false).await,
        Command::Metrics(ask) => ask::metrics(ask).await,
    }
}

/// Only what serves logs; the others answer.
fn log(command: &Command) {
    let filter = match command {
        Command::Run(serve) | Command::Dev(serve) if serve.voice.quiet => "error",
        Command::Run(serve) | Command::Dev(serve) => serve.log.as_str(),
        _ => "warn",
    };
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(ansi);
    log.with_env_filter(EnvFilter::new(filter)).init();
}
