//! Server-sent events from a broadcast: what a stream sends, and when it ends.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::stream;
use graceful_core::Value;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::{Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::answer::Body;
use crate::topics::Message;

/// How often a silent stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The response that sends what `receiver` gets, each turned to text by `event`, until `stop`. A reader that
/// falls too far behind is told how much it missed.
pub(crate) fn events<T, F>(receiver: Receiver<T>, stop: CancellationToken, event: F) -> Response<Body>
where
    T: Clone + Send + 'static,
    F: Fn(T) -> String + Send + Sync + 'static,
{
    let first = Some(": connected\n\n".to_owned());
    let stream =
        stream::unfold((receiver, stop, event, first), |(mut receiver, stop, event, first)| async move {
            let text = match first {
                Some(text) => text,
                None => tokio::select! {
                    () = stop.cancelled() => return None,
                    received = receiver.recv() => match received {
                        Ok(message) => event(message),
                        Err(RecvError::Lagged(missed)) => format!("event: lagged\ndata: {missed}\n\n"),
                        Err(RecvError::Closed) => return None,
                    },
                    () = tokio::time::sleep(KEEP_ALIVE) => ": alive\n\n".to_owned(),
                },
            };
            let frame = Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
            Some((frame, (receiver, stop, event, None)))
        });
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// One message of a topic as an event: text as it is, everything else as JSON.
pub(crate) fn topic_event(message: Message) -> String {
    let text = match &*message.value {
        Value::Str(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    event_text(Some(message.id), None, &text)
}

/// The text of one event. Line breaks inside the content become lines of their own.
pub(crate) fn event_text(id: Option<u64>, name: Option<&str>, content: &str) -> String {
    let mut text = String::new();
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    if let Some(name) = name {
        text.push_str(&format!("event: {name}\n"));
    }
    for line in content.split(['\n', '\r']) {
        text.push_str(&format!("data: {line}\n"));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn text_is_sent_as_it_is_and_the_rest_as_json() {
        let text = |value| topic_event(Message { id: 7, value: Arc::new(value) });
        assert_eq!(text("a\nb".into()), "id: 7\ndata: a\ndata: b\n\n");
        assert_eq!(text(Value::List(vec![1.into()])), "id: 7\ndata: [1]\n\n");
        assert_eq!(event_text(None, Some("committed"), "{}"), "event: committed\ndata: {}\n\n");
    }
}
