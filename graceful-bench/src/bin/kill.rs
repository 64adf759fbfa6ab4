//! Kills the `graceful` command between every two steps of what it does, and looks whether it starts again whole.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use graceful_bench::kill::{Settings, run};
use graceful_bench::storm::app::Language;

#[derive(Parser)]
#[command(about)]
struct Arguments {
    /// How many kills at least; every step is taken once, and what is missing is killed at any time.
    #[arg(long, default_value_t = 300)]
    kills: u64,
    /// Every how many steps.
    #[arg(long, default_value_t = 1)]
    stride: u64,
    /// What the app is written in.
    #[arg(long, value_enum, default_value_t = Backend::Mixed)]
    backend: Backend,
    /// What the edits and times are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The command, built with its feature `crash`; the one beside this program, unless it is said.
    #[arg(long)]
    graceful: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Lua,
    Rhai,
    Mixed,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("graceful"));
    let settings = Settings {
        graceful: arguments.graceful.or_else(beside).unwrap_or_else(|| "graceful".into()),
        language: match arguments.backend {
            Backend::Lua => Language::Lua,
            Backend::Rhai => Language::Rhai,
            Backend::Mixed => Language::Mixed(arguments.seed.is_multiple_of(2)),
        },
        kills: arguments.kills,
        stride: arguments.stride.max(1),
        seed: arguments.seed,
    };
    match run(&settings, |line| println!("{line}")).await {
        Ok(ended) => {
            println!("{ended}");
            if ended.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("it cannot go on: {error}");
            ExitCode::from(2)
        }
    }
}
