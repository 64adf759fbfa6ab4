//! Loads a real host over HTTP while its app is edited, reloaded, broken and mended, and looks at every answer.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use graceful_bench::storm::app::Language;
use graceful_bench::storm::clients::Crowd;
use graceful_bench::storm::{Settings, run};

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// Goes on until this many reloads were committed.
    #[arg(long, default_value_t = 500)]
    reloads: u64,
    /// And until this many requests were answered.
    #[arg(long, default_value_t = 500_000)]
    requests: u64,
    /// And for this many minutes.
    #[arg(long, default_value_t = 0.0)]
    minutes: f64,
    /// What the app is written in.
    #[arg(long, value_enum, default_value_t = Backend::Mixed)]
    backend: Backend,
    /// What the edits are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients that keep their connection.
    #[arg(long, default_value_t = 12)]
    kept: usize,
    /// Clients that connect for each request.
    #[arg(long, default_value_t = 2)]
    new: usize,
    /// Readers of an event stream.
    #[arg(long, default_value_t = 4)]
    streams: usize,
    /// Tells each reload.
    #[arg(long)]
    tell: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Lua,
    Rhai,
    Mixed,
}

/// Of each thread, in bytes of address space, as in the `graceful` command: with less, each call of Rhai takes a stack.
const STACK: usize = 32 << 20;

fn main() -> ExitCode {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(STACK).enable_all().build();
    runtime.expect("a runtime").block_on(storm())
}

async fn storm() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings {
        reloads: arguments.reloads,
        requests: arguments.requests,
        least: Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0),
        language: match arguments.backend {
            Backend::Lua => Language::Lua,
            Backend::Rhai => Language::Rhai,
            Backend::Mixed => Language::Mixed(arguments.seed.is_multiple_of(2)),
        },
        seed: arguments.seed,
        crowd: Crowd { kept: arguments.kept, new: arguments.new, streams: arguments.streams },
        tells: arguments.tell,
    };
    match run(&settings, |line| println!("{line}")).await {
        Ok(ended) => {
            println!("{ended}");
            if ended.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("the storm cannot begin or go on: {error}");
            ExitCode::from(2)
        }
    }
}
