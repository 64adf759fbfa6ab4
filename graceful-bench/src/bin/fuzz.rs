//! Mutated inputs for everything that reads: manifests, documents, sources, admin requests, versions, routes.

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
}

fn told(name: &str, began: Instant, fuzzed: &Fuzzed) -> usize {
    let Fuzzed { inputs, bytes, slowest, panics } = fuzzed;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{name}: {inputs} inputs, {bytes} bytes, slowest {slowest:.1?}, {} panics, {took:.1} s",
        panics.len()
    );
    if let Some((input, said)) = panics.iter().min_by_key(|(input, _)| input.len()) {
        println!("  {said}: {:?}", String::from_utf8_lossy(input));
    }
    panics.len()
}

fn main() -> std::process::ExitCode {
    let args = Args::parse();
    let is_wanted = |name: &str| args.reader.as_ref().is_none_or(|wanted| wanted == name);
    let (mut panics, mut read) = (0, 0);
    for reader in readers().into_iter().filter(|reader| is_wanted(reader.name)) {
        let (name, began) = (reader.name, Instant::now());
        panics += told(name, began, &reader.run(args.inputs, args.seed));
        read += args.inputs;
    }
    if is_wanted("admin socket") && args.requests > 0 {
        let began = Instant::now();
        panics += told("admin socket", began, &requests::run(args.requests, args.seed));
        read += args.requests;
    }
    println!("{read} inputs, {panics} panics");
    if panics == 0 { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}
