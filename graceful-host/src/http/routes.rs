//! The registered routes as a matcher, compiled once for each version of the table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use graceful_core::World;
use graceful_core::scope::Registrations;

use super::route::{ROUTE, Route, Segment};

/// What a request's path and method lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// A route, with what its parameters stand for, in their order; see [`params`].
    Found { key: String, values: Vec<String> },
    /// The path is there, for these methods only.
    Method { allowed: Vec<String> },
    /// Nothing is there.
    Nothing,
}

/// The matcher of the table's newest version.
pub(crate) struct Routes {
    compiled: Mutex<(Arc<Registrations>, Arc<Matcher>)>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self { compiled: Mutex::new((Arc::default(), Arc::default())) }
    }

    /// The matcher of the table as `world` has it now.
    pub(crate) fn current(&self, world: &World) -> Arc<Matcher> {
        let table = world.table.snapshot();
        let mut compiled = self.compiled.lock().unwrap();
        if Arc::ptr_eq(&compiled.0, &table) {
            return compiled.1.clone();
        }
        let matcher = Arc::new(Matcher::compile(&table));
        let old = std::mem::replace(&mut *compiled, (table, matcher.clone()));
        drop(compiled);
        // The old table may hold the last reference to a VM's function: dropped outside of the lock.
        drop(old);
        matcher
    }
}

#[derive(Debug, Default)]
struct Branch {
    fixed: BTreeMap<String, Branch>,
    param: Option<Box<Branch>>,
    /// The keys of the routes that end here, by method.
    rest: BTreeMap<String, String>,
    here: BTreeMap<String, String>,
}

/// Paths by segment. A fixed segment goes before `:param`, that before a final `*rest`.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    root: Branch,
}

impl Matcher {
    pub(crate) fn compile(table: &Registrations) -> Self {
        let mut matcher = Matcher::default();
        let routes = table.iter().filter(|((kind, _), _)| kind == ROUTE);
        routes.for_each(|(_, registered)| matcher.add(&registered.key));
        matcher
    }

    /// Adds a route; one that there cannot be is not registered.
    fn add(&mut self, key: &str) {
        let Ok(route) = Route::parse(key) else { return };
        let mut branch = &mut self.root;
        for segment in route.segments {
            branch = match segment {
                Segment::Fixed(text) => branch.fixed.entry(text.to_owned()).or_default(),
                Segment::Param(_) => branch.param.get_or_insert_default(),
                Segment::Rest(_) => {
                    branch.rest.insert(route.method.to_owned(), key.to_owned());
                    return;
                }
            }
        }
        branch.here.insert(route.method.to_owned(), key.to_owned());
    }

    /// Finds the route of a request; `path` is still percent-encoded. HEAD is answered by GET.
    pub(crate) fn find(&self, method: &str, path: &str) -> Match {
        let segments: Vec<String> = path.trim_start_matches('/').split('/').map(decode).collect();
        let mut allowed = Vec::new();
        let methods: &[&str] = if method == "HEAD" { &["HEAD", "GET"] } else { &[method] };
        let found = methods
            .iter()
            .find_map(|method| self.root.find(method, &segments, &mut Vec::new(), &mut allowed));
        if let Some((key, values)) = found {
            return Match::Found { key: key.to_owned(), values };
        }
        allowed.sort();
        allowed.dedup();
        if allowed.is_empty() { Match::Nothing } else { Match::Method { allowed } }
    }
}

/// The parameters of the route `key`, which stand for `values`.
pub(crate) fn params(key: &str, values: Vec<String>) -> BTreeMap<String, String> {
    let route = Route::parse(key);
    let names = route.iter().flat_map(Route::names).map(str::to_owned);
    names.zip(values).filter(|(name, _)| !name.is_empty()).collect()
}

impl Branch {
    fn find(
        &self,
        method: &str,
        segments: &[String],
        values: &mut Vec<String>,
        allowed: &mut Vec<String>,
    ) -> Option<(&str, Vec<String>)> {
        let Some((first, others)) = segments.split_first() else {
            allowed.extend(self.here.keys().cloned());
            return self.here.get(method).map(|key| (key.as_str(), values.clone()));
        };
        if let Some(found) = self.fixed.get(first).and_then(|next| next.find(method, others, values, allowed))
        {
            return Some(found);
        }
        if let Some(next) = self.param.as_ref().filter(|_| !first.is_empty()) {
            values.push(first.clone());
            let found = next.find(method, others, values, allowed);
            values.pop();
            if found.is_some() {
                return found;
            }
        }
        allowed.extend(self.rest.keys().cloned());
        let key = self.rest.get(method)?;
        let rest = segments.join("/");
        Some((key, values.iter().cloned().chain([rest]).collect()))
    }
}

/// Undoes percent-encoding; what is not valid stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.filter(|_| bytes[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(keys: &[&str]) -> Matcher {
        let mut matcher = Matcher::default();
        keys.iter().for_each(|key| matcher.add(key));
        matcher
    }

    fn found(matcher: &Matcher, method: &str, path: &str) -> String {
        match matcher.find(method, path) {
            Match::Found { key, values } => format!("{key} {:?}", params(&key, values)),
            Match::Method { allowed } => format!("allowed {allowed:?}"),
            Match::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn a_fixed_segment_goes_before_a_parameter_and_that_before_the_rest() {
        let m = matcher(&[
            "GET /",
            "GET /price/:item",
            "GET /price/list",
            "POST /price/:id",
            "GET /*path",
            "GET /a/:x/b",
        ]);
        assert_eq!(found(&m, "GET", "/"), "GET / {}");
        assert_eq!(found(&m, "GET", "/price/list"), "GET /price/list {}");
        assert_eq!(found(&m, "GET", "/price/blue%20tea"), r#"GET /price/:item {"item": "blue tea"}"#);
        assert_eq!(found(&m, "POST", "/price/list"), r#"POST /price/:id {"id": "list"}"#);
        assert_eq!(found(&m, "GET", "/a/1/c"), r#"GET /*path {"path": "a/1/c"}"#);
        assert_eq!(found(&m, "GET", "/a/1/b"), r#"GET /a/:x/b {"x": "1"}"#);
        assert_eq!(found(&m, "HEAD", "/price/list"), "GET /price/list {}");
    }

    #[test]
    fn a_path_without_its_method_names_those_it_has() {
        let m = matcher(&["GET /hits", "PUT /hits"]);
        assert_eq!(found(&m, "DELETE", "/hits"), r#"allowed ["GET", "PUT"]"#);
        assert_eq!(found(&m, "GET", "/hits/"), "nothing");
        assert_eq!(found(&m, "GET", "/misses"), "nothing");
    }

    #[test]
    fn percent_encoding_is_undone_where_it_is_valid() {
        assert_eq!(decode("a%2Fb%20c"), "a/b c");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "%ff");
    }
}
