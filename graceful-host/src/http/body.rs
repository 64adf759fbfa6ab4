//! The bodies of requests: read up to a limit, or thrown away so that the client learns why.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::EXPECT;
use hyper::{HeaderMap, Response, StatusCode};

use super::answer::{Body, failure};

/// What is thrown away of a body nobody reads, in bytes and in time; the connection ends after either.
const UNREAD: usize = 64 << 20;
const UNREAD_TIME: Duration = Duration::from_secs(5);

/// All of a body that has no more than `limit` bytes.
pub(crate) async fn read(
    mut body: Incoming,
    headers: &HeaderMap,
    limit: usize,
) -> Result<Bytes, Box<Response<Body>>> {
    let too_large = |body| {
        let message = format!("the body is larger than {limit} bytes");
        Box::new(unread(body, headers, failure(StatusCode::PAYLOAD_TOO_LARGE, "GR0413", &message)))
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(body));
    }
    match Limited::new(&mut body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(body)),
        Err(error) => Err(Box::new(failure(StatusCode::BAD_REQUEST, "GR0400", &error.to_string()))),
    }
}

/// `answer`, while the body is thrown away. A connection that ends with something unread is reset, and a client that
/// still sends then loses the answer. One that waits to be told to send has sent nothing, and is not told.
pub(crate) fn unread(body: Incoming, headers: &HeaderMap, answer: Response<Body>) -> Response<Body> {
    if !body.is_end_stream() && !headers.contains_key(EXPECT) {
        tokio::spawn(tokio::time::timeout(UNREAD_TIME, discard(body)));
    }
    answer
}

async fn discard(mut body: Incoming) {
    let mut left = UNREAD;
    while let Some(Ok(frame)) = body.frame().await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
