//! What was answered, and whether it can have been: every answer belongs to one generation that was live, and none to
//! one that was replaced before it was asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::app::Tags;

/// Which part of a generation an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Page {
    /// The first four tags.
    Pages,
    /// The last three.
    Roles,
}

/// What an answer shows of a generation.
pub type Shown = [u32; 4];

impl Page {
    /// What an answer of this page is in the generation with these tags.
    pub fn of(self, tags: &Tags) -> Shown {
        match self {
            Self::Pages => [tags[0], tags[1], tags[2], tags[3]],
            Self::Roles => [tags[4], tags[5], tags[6], 0],
        }
    }

    /// What the text of an answer shows. `None`: the modules it went through are not of one generation.
    pub fn read(self, text: &str) -> Option<Shown> {
        let numbers: Vec<u32> = text.split(' ').map_while(|word| word.parse().ok()).collect();
        match (self, &numbers[..]) {
            (Self::Pages, &[web, left, right, a, b, c]) if a == b && b == c => Some([web, left, right, a]),
            (Self::Roles, &[pricing, rates, a, b]) if a == b => Some([pricing, rates, a, 0]),
            _ => None,
        }
    }
}

/// The generations that were committed, and what went wrong. Shared by whoever reloads and whoever asks.
#[derive(Default)]
pub struct Ledger {
    committed: Mutex<Vec<Tags>>,
    /// How many there are, for who asks: the last of them is live when it says so.
    known: AtomicUsize,
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Requests and connections that failed.
    pub failed: AtomicU64,
    /// Answers of more than one generation, or of one that cannot be.
    pub mixed: AtomicU64,
    examples: Mutex<Vec<String>>,
}

/// How many examples of what went wrong are kept.
const EXAMPLES: usize = 20;

impl Ledger {
    /// A generation is live.
    pub fn commit(&self, tags: Tags) {
        let mut committed = self.committed.lock().unwrap();
        committed.push(tags);
        self.known.store(committed.len(), Ordering::SeqCst);
    }

    /// The last generation that is known to be live.
    pub fn floor(&self) -> usize {
        self.known.load(Ordering::SeqCst).saturating_sub(1)
    }

    /// The generations, in order.
    pub fn committed(&self) -> Vec<Tags> {
        self.committed.lock().unwrap().clone()
    }

    /// Something failed.
    pub fn fail(&self, what: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.example(format!("failed: {what}"));
    }

    /// An answer cannot be.
    pub fn mix(&self, what: String) {
        self.mixed.fetch_add(1, Ordering::Relaxed);
        self.example(format!("mixed: {what}"));
    }

    fn example(&self, what: String) {
        let mut examples = self.examples.lock().unwrap();
        if examples.len() < EXAMPLES {
            eprintln!("{what}");
            examples.push(what);
        }
    }

    /// Looks at what one client saw, in the order in which it asked.
    pub fn judge(&self, seen: &Seen) {
        let committed = self.committed();
        let mut places: BTreeMap<(Page, Shown), Vec<usize>> = BTreeMap::new();
        for (at, tags) in committed.iter().enumerate() {
            for page in [Page::Pages, Page::Roles] {
                places.entry((page, page.of(tags))).or_default().push(at);
            }
        }
        let mut least = 0;
        for &(floor, page, shown) in &seen.answers {
            least = least.max(floor);
            let at = places.get(&(page, shown)).and_then(|places| places.iter().find(|at| **at >= least));
            match at {
                Some(at) => least = *at,
                None => {
                    let now = committed.get(least).map(|tags| page.of(tags));
                    self.mix(format!("{page:?} {shown:?}, asked for when {now:?} (number {least}) was live"));
                }
            }
        }
    }
}

/// What one client saw: every answer that says more than the one before it.
#[derive(Default)]
pub struct Seen {
    answers: Vec<(usize, Page, Shown)>,
    last: BTreeMap<Page, (usize, Shown)>,
}

impl Seen {
    /// An answer to a request that was sent when generation `floor` was live.
    pub fn note(&mut self, floor: usize, page: Page, shown: Shown) {
        if self.last.insert(page, (floor, shown)) != Some((floor, shown)) {
            self.answers.push((floor, page, shown));
        }
    }
}

/// Numbers that must come once each.
#[derive(Default)]
pub struct Once(Mutex<Vec<u64>>);

impl Once {
    /// Says whether `number` came for the first time.
    pub fn first(&self, number: u64) -> bool {
        let mut bits = self.0.lock().unwrap();
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        let was = bits[word] & bit != 0;
        bits[word] |= bit;
        !was
    }

    /// How many came.
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap().iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answers: &[(usize, Shown)]) -> u64 {
        let ledger = Ledger::default();
        for tags in [[1; 7], [2; 7], [1; 7]] {
            ledger.commit(tags);
        }
        let mut seen = Seen::default();
        for (floor, shown) in answers {
            seen.note(*floor, Page::Pages, *shown);
        }
        ledger.judge(&seen);
        ledger.mixed.load(Ordering::Relaxed)
    }

    #[test]
    fn an_answer_of_no_generation_or_of_one_that_is_gone_is_found() {
        assert_eq!(judged(&[(0, [1; 4]), (0, [2; 4]), (0, [1; 4])]), 0);
        assert_eq!(judged(&[(0, [2; 4]), (0, [1; 4]), (0, [2; 4])]), 1, "2 was replaced by the second 1");
        assert_eq!(judged(&[(2, [2; 4])]), 1, "it was replaced before it was asked for");
        assert_eq!(judged(&[(0, [1, 2, 1, 1])]), 1, "there was none like that");
        assert_eq!(Page::Pages.read("1 2 3 4 4 5"), None);
        assert_eq!(Page::Roles.read("1 2 3 3"), Some([1, 2, 3, 0]));
        assert_eq!(Page::Roles.read("1 2 3 3 3"), None);
    }

    #[test]
    fn a_number_that_comes_twice_is_found() {
        let once = Once::default();
        assert!(once.first(1) && once.first(64) && !once.first(1));
        assert_eq!(once.count(), 2);
    }
}
