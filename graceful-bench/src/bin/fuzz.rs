//! Mutated inputs for everything that reads: manifests, documents, sources, admin requests, versions, routes.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use graceful_bench::fuzz::{readers, requests};
use graceful_testkit::fuzz::Fuzzed;

/// Mutated inputs for everything that reads: no panic, no hang.
#[derive(Parser)]
struct Args {
    /// How many inputs each reader gets.
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// How many requests the admin socket of a host gets.
    #[arg(long, default_value_t = 2_000)]
    requests: u64,
    /// Only this reader.
    #[arg(long)]
    reader: Option<String>,
    /// Draws the mutations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes the slowest text of each reader into this folder.
    #[arg(long, value_name = "FOLDER")]
    keep_slowest: Option<PathBuf>,
}

/// What reads in a host that serves, and is run by itself.
const ADMIN_SOCKET: &str = "admin socket";

fn told(name: &str, began: Instant, fuzzed: &Fuzzed, args: &Args) -> usize {
    let Fuzzed { inputs, bytes, slowest, slowest_input, panics } = fuzzed;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{name}: {inputs} inputs, {bytes} bytes, slowest {slowest:.1?} ({} bytes), {} panics, {took:.1} s",
        slowest_input.len(),
        panics.len()
    );
    if let Some(folder) = &args.keep_slowest {
        std::fs::create_dir_all(folder).expect("the folder can be made");
        std::fs::write(folder.join(name.replace(' ', "-")), slowest_input).expect("it can be written");
    }
    if let Some((input, said)) = panics.iter().min_by_key(|(input, _)| input.len()) {
        println!("  {said}: {:?}", String::from_utf8_lossy(input));
    }
    panics.len()
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let is_wanted = |name: &str| args.reader.as_ref().is_none_or(|wanted| wanted == name);
    let (mut panics, mut read, readers) = (0, 0, readers());
    let names: Vec<_> = readers.iter().map(|reader| reader.name).chain([ADMIN_SOCKET]).collect();
    if !names.iter().any(|name| is_wanted(name)) {
        eprintln!("there is no such reader; there are: {}", names.join(", "));
        return std::process::ExitCode::from(2);
    }
    for reader in readers.into_iter().filter(|reader| is_wanted(reader.name)) {
        let (name, began) = (reader.name, Instant::now());
        panics += told(name, began, &reader.run(args.inputs, args.seed), &args);
        read += args.inputs;
    }
    if is_wanted(ADMIN_SOCKET) && args.requests > 0 {
        let began = Instant::now();
        panics += told(ADMIN_SOCKET, began, &requests::run(args.requests, args.seed), &args);
        read += args.requests;
    }
    println!("{read} inputs, {panics} panics");
    if panics == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
