//! How a route is written: `METHOD /path/:segment/*rest`, and what makes two of them the same.

use graceful_core::near::{meant, nearest};

/// The kind under which modules register routes, with the key `METHOD /path/:param`.
pub const ROUTE: &str = "route";

/// What requests are asked with: HTTP's own methods, and those of WebDAV.
const METHODS: [&str; 16] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "COPY",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "REPORT",
    "UNLOCK",
];

/// One segment of a route's path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// Itself.
    Fixed(&'a str),
    /// Any one segment.
    Param(&'a str),
    /// All that is left; the last one.
    Rest(&'a str),
}

/// A route as it was written, taken apart.
#[derive(Debug)]
pub(super) struct Route<'a> {
    pub(super) method: &'a str,
    pub(super) segments: Vec<Segment<'a>>,
}

impl<'a> Route<'a> {
    /// Takes `key` apart, or says why no request could lead there and what to write.
    pub(super) fn parse(key: &'a str) -> Result<Self, String> {
        let expected = "expected a method and a path, such as `GET /price/:item`";
        let (method, path) = key.split_once(' ').ok_or(expected)?;
        if !METHODS.contains(&method) {
            let near = nearest(&method.to_uppercase(), METHODS.into_iter());
            let near = near.map_or_else(|| format!("; there are: {}", METHODS.join(", ")), meant);
            return Err(format!("`{method}` is no method of HTTP{near}"));
        }
        let Some(whole) = path.strip_prefix('/') else {
            return Err(format!("the path `{path}` does not begin with `/`: write `/{path}`"));
        };
        if let Some((before, _)) = path.split_once('?') {
            return Err(format!(
                "what follows `?` is not part of the path: write `{before}` and look at `request.query`"
            ));
        }
        let segments: Vec<Segment> = whole.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        let route = Self { method, segments };
        route.check()?;
        Ok(route)
    }

    fn check(&self) -> Result<(), String> {
        let last = self.segments.len() - 1;
        for (at, segment) in self.segments.iter().enumerate() {
            if let (Segment::Rest(name), true) = (segment, at < last) {
                return Err(format!(
                    "`*{name}` takes all that is left, so nothing can follow it: write `:{name}` for one segment"
                ));
            }
            let name = segment.name().filter(|name| !name.is_empty());
            if let Some(name) =
                name.filter(|name| self.segments[..at].iter().any(|s| s.name() == Some(*name)))
            {
                return Err(format!("two segments are named `{name}`: give each a name of its own"));
            }
        }
        Ok(())
    }

    /// The names of its parameters, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.segments.iter().filter_map(Segment::name)
    }
}

impl<'a> Segment<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let (segment, name) = match (text.strip_prefix(':'), text.strip_prefix('*')) {
            (Some(name), _) => (Segment::Param(name), name),
            (_, Some(name)) => (Segment::Rest(name), name),
            _ => return Ok(Segment::Fixed(text)),
        };
        let nameless = name.is_empty() && matches!(segment, Segment::Param(_));
        if nameless || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return Err(format!(
                "`{text}`: a name of letters, digits, `_` and `-` was expected, such as `:item`"
            ));
        }
        Ok(segment)
    }

    fn name(&self) -> Option<&'a str> {
        match self {
            Segment::Fixed(_) => None,
            Segment::Param(name) | Segment::Rest(name) => Some(name),
        }
    }
}

/// What `key` stands for: routes that match the same requests stand for the same. For
/// [`EngineBuilder::identity`](graceful_core::EngineBuilder::identity).
///
/// # Errors
/// Why no request could lead to such a route, and what to write.
///
/// ```
/// use graceful_host::same_route;
/// assert_eq!(same_route("GET /u/:id"), same_route("GET /u/:name"));
/// assert!(same_route("GET /*all/of").is_err());
/// ```
pub fn same_route(key: &str) -> Result<String, String> {
    let route = Route::parse(key)?;
    let segments = route.segments.iter().map(|segment| match segment {
        Segment::Fixed(text) => text,
        Segment::Param(_) => ":",
        Segment::Rest(_) => "*",
    });
    Ok(format!("{} /{}", route.method, segments.collect::<Vec<_>>().join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_04_routes_that_match_the_same_requests_are_the_same() {
        assert_eq!(same_route("GET /u/:id/*rest").unwrap(), "GET /u/:/*");
        assert_eq!(same_route("GET /u/:id"), same_route("GET /u/:name"));
        for other in ["POST /u/:id", "GET /u/id", "GET /u/:id/", "GET /u/*id", "GET /:u/:id"] {
            assert_ne!(same_route("GET /u/:id"), same_route(other), "{other}");
        }
        assert_eq!(same_route("GET /").unwrap(), "GET /");
        assert_eq!(same_route("GET /*").unwrap(), "GET /*");
    }

    #[test]
    fn scope_04_a_route_that_cannot_be_says_what_to_write() {
        let wrong = |key: &str| same_route(key).unwrap_err();
        assert_eq!(wrong("GET price"), "the path `price` does not begin with `/`: write `/price`");
        assert_eq!(wrong("GET"), "expected a method and a path, such as `GET /price/:item`");
        assert_eq!(wrong("GETT /"), "`GETT` is no method of HTTP, did you mean `GET`?");
        assert!(
            wrong("FROBNICATE /")
                .starts_with("`FROBNICATE` is no method of HTTP; there are: GET, HEAD, POST")
        );
        assert_eq!(
            wrong("GET /*a/b"),
            "`*a` takes all that is left, so nothing can follow it: write `:a` for one segment"
        );
        assert_eq!(wrong("GET /:a/:a"), "two segments are named `a`: give each a name of its own");
        assert_eq!(
            wrong("GET /x/:"),
            "`:`: a name of letters, digits, `_` and `-` was expected, such as `:item`"
        );
        assert_eq!(
            wrong("GET /x?a=1"),
            "what follows `?` is not part of the path: write `/x` and look at `request.query`"
        );
    }
}
