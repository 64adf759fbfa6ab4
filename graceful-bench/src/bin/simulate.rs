//! Plays simulated histories and says how many broke a promise. The last line is `N seeds, V violations`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use graceful_bench::{cores::stay_on_one_core, subjects};
use graceful_testkit::FakeSubject;
use graceful_testkit::sim::{Found, Simulation, Story};

/// Histories are many small objects that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After how many seeds it looks at the clock, where its time is limited.
const LOOK: u64 = 500;

/// How many violations are told in full.
const IN_FULL: usize = 5;

/// Plays histories drawn from seeds, each held against a model; exits with 1 if one breaks a promise.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first one.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Only this one, with what happens in it.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Only this story, as a violation tells it at its end; `-` reads it from the standard input.
    #[arg(long, conflicts_with_all = ["seed", "seeds"])]
    story: Option<String>,
    /// Stops once this many seconds are over, and says how many seeds it has played.
    #[arg(long)]
    within: Option<u64>,
    /// The backend. Which dialect of Lua is a matter of features.
    #[arg(long, value_enum, default_value = "fake")]
    backend: Backend,
    /// How many threads; one for each core unless told.
    #[arg(long)]
    threads: Option<usize>,
    /// How many steps a story has.
    #[arg(long)]
    steps: Option<usize>,
    /// Plants this bug first, by its name in `graceful_core::planted`, and stops where it is found.
    #[arg(long)]
    bug: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Fake,
    Lua,
    Rhai,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A panic is a violation like any other, and told as one.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(name) = &args.bug
        && let Err(error) = plant(name)
    {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    let mut simulation = match args.backend {
        Backend::Fake => Simulation::of::<FakeSubject>(),
        Backend::Lua => Simulation::of::<subjects::SteadyLua>(),
        Backend::Rhai => Simulation::of::<subjects::Rhai>(),
    };
    if let Some(steps) = args.steps {
        simulation = simulation.steps(steps);
    }
    if let Some(text) = &args.story {
        return one(&simulation, told(text));
    }
    if let Some(seed) = args.seed {
        return one(&simulation, Ok(simulation.story(seed)));
    }
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok().map(|many| many.get()));
    let (seeds, threads) = (args.from..args.from + args.seeds, threads.unwrap_or(1));
    let (found, played) = match (&args.bug, args.within) {
        (Some(_), _) => (simulation.first(seeds, threads).into_iter().collect(), args.seeds),
        (None, None) => (simulation.run_on(seeds, threads, &stay_on_one_core), args.seeds),
        (None, Some(most)) => within(Duration::from_secs(most), &simulation, seeds, threads),
    };
    for (at, found) in found.iter().enumerate() {
        match at < IN_FULL && args.bug.is_none() {
            true => println!("seed {}: {}\n", found.story.seed, simulation.shrunk(found)),
            false => println!("seed {}: {}", found.story.seed, found.violation),
        }
    }
    println!("{played} seeds, {} violations", found.len());
    ExitCode::from(u8::from(!found.is_empty()))
}

/// Plays as many of `seeds` as there is time for. Returns how many those were.
fn within(
    most: Duration,
    simulation: &Simulation,
    mut seeds: Range<u64>,
    threads: usize,
) -> (Vec<Found>, u64) {
    let (began, from, asked) = (Instant::now(), seeds.start, seeds.end);
    let mut found = Vec::new();
    while !seeds.is_empty() && began.elapsed() < most {
        let until = asked.min(seeds.start + LOOK);
        found.extend(simulation.run_on(seeds.start..until, threads, &stay_on_one_core));
        seeds.start = until;
    }
    if !seeds.is_empty() {
        println!(
            "{} s are over: {} seeds of {} were not played",
            most.as_secs(),
            seeds.end - seeds.start,
            asked - from
        );
    }
    (found, seeds.start - from)
}

fn told(text: &str) -> Result<Story, serde_json::Error> {
    match text {
        "-" => serde_json::from_reader(std::io::stdin()),
        text => serde_json::from_str(text),
    }
}

/// Plays one story and tells everything of it.
fn one(simulation: &Simulation, story: Result<Story, serde_json::Error>) -> ExitCode {
    let story = match story {
        Ok(story) => story,
        Err(error) => {
            eprintln!("this is no story: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{story}");
    match simulation.play(&story) {
        Ok(trace) => {
            println!("\n{trace}\n1 seeds, 0 violations");
            ExitCode::SUCCESS
        }
        Err(found) => {
            println!("\n{}\n{}", found.trace, simulation.shrunk(&found));
            println!("1 seeds, 1 violations");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "planted")]
fn plant(name: &str) -> Result<(), String> {
    use graceful_core::planted::{Bug, plant};
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    let bug = bug.ok_or_else(|| format!("there is no bug `{name}`: {:?}", Bug::ALL))?;
    plant(Some(bug));
    Ok(())
}

#[cfg(not(feature = "planted"))]
fn plant(_: &str) -> Result<(), String> {
    Err("bugs are planted only in a build with the feature `planted`".into())
}
