//! Mutated inputs for whatever reads: no panic, no hang. Seeded, so that what was found is found again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::random::Random;

/// Pieces that readers stumble over, besides the words of the corpus.
const PIECES: [&str; 40] = [
    "\"",
    "'",
    "`",
    "[[",
    "]]",
    "[==[",
    "--[[",
    "/*",
    "*/",
    "//",
    "#",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "${",
    "|",
    "=",
    ",",
    ".",
    "..",
    "\\",
    "\\u{110000}",
    "\0",
    "\n",
    "\r",
    "\u{feff}",
    "é",
    "𝄞",
    "-1",
    "18446744073709551616",
    "1e999",
    "NaN",
    "0x",
    "1.2.3-",
    "null",
    "%",
    "%ff",
];
/// How often one piece is repeated at most: deeper than any reader may recurse.
const DEEP: usize = 20_000;
/// An input that takes longer hangs.
const HANG: Duration = Duration::from_secs(20);

/// A corpus, and how it is mutated.
pub struct Fuzz {
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Fuzzed {
    /// How many inputs were read.
    pub inputs: u64,
    /// How many bytes they had.
    pub bytes: u64,
    /// How long the slowest one took, when it was read again: what else the machine does is not its fault.
    pub slowest: Duration,
    /// The slowest one.
    pub slowest_input: Vec<u8>,
    /// Those that made the reader panic, with what it said.
    pub panics: Vec<(Vec<u8>, String)>,
}

impl Fuzzed {
    /// Nothing panicked.
    ///
    /// # Panics
    /// If something did, with the shortest such input.
    pub fn assert(&self) {
        if let Some((input, said)) = self.panics.iter().min_by_key(|(input, _)| input.len()) {
            let shown: String = String::from_utf8_lossy(input).chars().take(2_000).collect();
            panic!("{} of {} inputs panic: {said}\n{shown:?}", self.panics.len(), self.inputs);
        }
    }
}

impl Fuzz {
    /// Mutates these texts.
    ///
    /// ```
    /// use graceful_core::Version;
    /// use graceful_testkit::fuzz::Fuzz;
    ///
    /// let fuzz = Fuzz::of(["1.2.3", "1.0.0-rc.1+build"]);
    /// let fuzzed = fuzz.run(1_000, |input| drop(Version::parse(&String::from_utf8_lossy(input))));
    /// fuzzed.assert();
    /// ```
    pub fn of<T: AsRef<[u8]>>(corpus: impl IntoIterator<Item = T>) -> Self {
        let corpus: Vec<Vec<u8>> = corpus.into_iter().map(|text| text.as_ref().to_vec()).collect();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let words = corpus.iter().flat_map(|text| text.split(|byte| !is_word(byte)));
        let mut words: Vec<Vec<u8>> = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
        words.sort();
        words.dedup();
        Self { corpus, words, seed: 1 }
    }

    /// Draws from this seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Lets `read` read so many inputs, each text of the corpus as it is among them.
    pub fn run(&self, inputs: u64, read: impl Fn(&[u8])) -> Fuzzed {
        let (mut random, mut fuzzed) = (Random::new(self.seed), Fuzzed::default());
        let watch = Watch::new();
        for at in 0..inputs {
            let input = match self.corpus.get(at as usize) {
                Some(text) => text.clone(),
                None => self.mutated(&mut random),
            };
            fuzzed.inputs += 1;
            fuzzed.bytes += input.len() as u64;
            let (mut took, mut said) = watch.read(&input, &read);
            if said.is_none() && took > fuzzed.slowest {
                let again = watch.read(&input, &read);
                (took, said) = (took.min(again.0), again.1);
            }
            if took > fuzzed.slowest {
                fuzzed.slowest = took;
                fuzzed.slowest_input.clone_from(&input);
            }
            if let Some(said) = said {
                fuzzed.panics.push((input, said));
            }
        }
        fuzzed
    }

    fn mutated(&self, random: &mut Random) -> Vec<u8> {
        let mut text = if self.corpus.is_empty() { Vec::new() } else { random.pick(&self.corpus).clone() };
        for _ in 0..1 + random.below(6) {
            self.mutate(&mut text, random);
        }
        text
    }

    fn mutate(&self, text: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(text.len() + 1);
        let end = (at + 1 + random.below(16)).min(text.len());
        match random.below(12) {
            0 if at < text.len() => text[at] ^= 1 << random.below(8),
            1 if at < text.len() => text[at] = random.below(256) as u8,
            2 => drop(text.drain(at..end)),
            3 => {
                let range = text[at..end].to_vec();
                put(text, at, &range);
            }
            4 => text.truncate(at),
            5 | 6 => {
                let piece = self.piece(random);
                put(text, at, &piece);
            }
            7 => {
                let piece = self.piece(random);
                text.splice(at..end, piece);
            }
            8 if !self.corpus.is_empty() => {
                let other = random.pick(&self.corpus);
                let from = random.below(other.len() + 1);
                let part = other[from..].to_vec();
                text.splice(at.., part);
            }
            9 if random.chance(1, 40) => {
                let piece = self.piece(random);
                let times = 1 + random.below(DEEP);
                put(text, at, &piece.repeat(times));
            }
            _ => {
                let piece = self.piece(random);
                put(text, at, &piece.repeat(1 + random.below(5)));
            }
        }
    }

    fn piece(&self, random: &mut Random) -> Vec<u8> {
        if !self.words.is_empty() && random.chance(1, 2) {
            return random.pick(&self.words).clone();
        }
        random.pick(&PIECES).as_bytes().to_vec()
    }
}

fn put(text: &mut Vec<u8>, at: usize, piece: &[u8]) {
    text.splice(at..at, piece.iter().copied());
}

/// Since when, and what.
type Reading = (Instant, Vec<u8>);

/// Ends the process, with the input, if one hangs.
struct Watch {
    current: Arc<Mutex<Option<Reading>>>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    fn new() -> Self {
        let watch = Self { current: Arc::default(), ended: Arc::default() };
        let (current, ended) = (watch.current.clone(), watch.ended.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(200));
                if let Some((began, input)) = &*current.lock().unwrap()
                    && began.elapsed() > HANG
                {
                    eprintln!("hangs: {:?}", String::from_utf8_lossy(input));
                    std::process::abort();
                }
            }
        });
        watch
    }

    /// Lets `read` read it. How long that took, and what it said if it panicked.
    fn read(&self, input: &[u8], read: &impl Fn(&[u8])) -> (Duration, Option<String>) {
        let began = Instant::now();
        *self.current.lock().unwrap() = Some((began, input.to_vec()));
        let done = catch_unwind(AssertUnwindSafe(|| read(input)));
        let took = began.elapsed();
        let said = done.err().map(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned())).unwrap_or_default()
        });
        (took, said)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.current.lock().unwrap() = None;
        self.ended.store(true, Ordering::Release);
    }
}
