//! What a route returned, or failed with, as an HTTP response.

use std::collections::BTreeMap;
use std::convert::Infallible;

use graceful_core::{CallError, Value};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

/// Every body this server sends.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What is to be sent.
pub(crate) enum Answer {
    /// A response that is complete.
    Whole(Response<Body>),
    /// A stream of what is published to this topic.
    Events(String),
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The response to what a route returned.
///
/// A string is text; nothing is 204; `{status, headers, body}` is that; `{events = topic}` is a stream of
/// events; every other value is JSON.
pub(crate) fn answer(value: Value) -> Answer {
    match value {
        Value::Null => Answer::Whole(whole(StatusCode::NO_CONTENT, TEXT, Vec::new())),
        Value::Map(mut map) if is_events(&map) => match map.remove("events") {
            Some(Value::Str(topic)) => Answer::Events(topic),
            _ => unreachable!("looked at just above"),
        },
        Value::Map(map) if is_shaped(&map) => match shaped(map) {
            Ok(response) => Answer::Whole(response),
            Err(reason) => Answer::Whole(failure(StatusCode::INTERNAL_SERVER_ERROR, "GR0206", &reason)),
        },
        other => {
            let (kind, body) = body(other);
            Answer::Whole(whole(StatusCode::OK, kind, body))
        }
    }
}

fn is_events(map: &BTreeMap<String, Value>) -> bool {
    map.len() == 1 && matches!(map.get("events"), Some(Value::Str(_)))
}

/// A map that only has the keys of a response and at least a numeric status or headers. `{status = "ok"}` is
/// an answer of its own.
fn is_shaped(map: &BTreeMap<String, Value>) -> bool {
    let known = map.keys().all(|key| matches!(key.as_str(), "status" | "headers" | "body"));
    let status = map.get("status").map(|status| status.as_int().is_some());
    let headers = map.get("headers").map(|headers| matches!(headers, Value::Map(_)));
    known && (status == Some(true) || (status.is_none() && headers == Some(true)))
}

fn shaped(mut map: BTreeMap<String, Value>) -> Result<Response<Body>, String> {
    let status = map.get("status").map_or(Some(200), Value::as_int).unwrap_or_default();
    let known = u16::try_from(status).ok().filter(|status| (200..=599).contains(status));
    let known = known.and_then(|status| StatusCode::from_u16(status).ok());
    let code = known.ok_or_else(|| format!("the route answered with status {status}, which is none"))?;
    let (kind, bytes) = body(map.remove("body").unwrap_or_default());
    let mut response = whole(code, kind, bytes);
    if let Some(Value::Map(headers)) = map.remove("headers") {
        for (name, value) in headers {
            let (_, text) = body(value);
            let name = HeaderName::try_from(&name).map_err(|_| format!("`{name}` is not a header's name"))?;
            let value = HeaderValue::from_bytes(&text)
                .map_err(|_| format!("the value of header `{name}` is not one"))?;
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn body(value: Value) -> (&'static str, Vec<u8>) {
    match value {
        Value::Null => (TEXT, Vec::new()),
        Value::Str(text) => (TEXT, text.into_bytes()),
        Value::Bytes(bytes) => ("application/octet-stream", bytes),
        other => (JSON, serde_json::to_vec(&other).unwrap_or_default()),
    }
}

pub(crate) fn whole(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response<Body> {
    let empty = body.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    if !empty {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// A JSON answer.
pub(crate) fn json_answer(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    whole(status, JSON, serde_json::to_vec(value).unwrap_or_default())
}

/// An answer that says what went wrong: `{"error": {"code", "message"}}`.
pub(crate) fn failure(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json_answer(status, &json!({ "error": { "code": code, "message": message } }))
}

/// The answer to a call that failed. What a script threw is told in `dev` only.
pub(crate) fn failed_call(error: &CallError, dev: bool) -> Response<Body> {
    let (status, message) = match error {
        error if error.is_retryable() => (StatusCode::SERVICE_UNAVAILABLE, "try again"),
        CallError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "the route failed"),
    };
    let mut response = match error {
        CallError::Script(script) if dev => {
            let told =
                json!({ "code": error.code(), "message": error.to_string(), "traceback": script.traceback });
            json_answer(status, &json!({ "error": told }))
        }
        _ if dev => failure(status, error.code().0, &error.to_string()),
        _ => failure(status, error.code().0, message),
    };
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use graceful_core::ScriptError;

    use super::*;

    async fn shown(response: Response<Body>) -> String {
        let (parts, body) = response.into_parts();
        let header = |name| parts.headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let kind = header("content-type");
        let body = body.collect().await.unwrap().to_bytes();
        format!("{} {kind} {}", parts.status.as_u16(), String::from_utf8_lossy(&body))
    }

    async fn answered(json: &str) -> String {
        match answer(serde_json::from_str(json).unwrap()) {
            Answer::Whole(response) => shown(response).await,
            Answer::Events(topic) => format!("events {topic}"),
        }
    }

    #[tokio::test]
    async fn each_kind_of_value_has_its_answer() {
        for (value, expected) in [
            (r#""hello""#, "200 text/plain; charset=utf-8 hello"),
            ("null", "204 - "),
            ("[1,2]", "200 application/json [1,2]"),
            (r#"{"price":3}"#, r#"200 application/json {"price":3}"#),
            (r#"{"status":"ok"}"#, r#"200 application/json {"status":"ok"}"#),
            (r#"{"status":201,"body":"made"}"#, "201 text/plain; charset=utf-8 made"),
            (r#"{"status":404}"#, "404 - "),
            (r#"{"status":200,"body":{"a":1}}"#, r#"200 application/json {"a":1}"#),
            (r#"{"status":200,"headers":{"Content-Type":"text/html"},"body":"<p>"}"#, "200 text/html <p>"),
            (r#"{"events":"ticks"}"#, "events ticks"),
            (r#"{"body":"b"}"#, r#"200 application/json {"body":"b"}"#),
        ] {
            assert_eq!(answered(value).await, expected, "{value}");
        }
        assert!(answered(r#"{"status":99}"#).await.starts_with("500 "));
        assert!(answered(r#"{"status":200,"headers":{"a b":"c"}}"#).await.starts_with("500 "));
    }

    #[tokio::test]
    async fn what_a_script_threw_is_told_in_dev_only() {
        let mut error = ScriptError::runtime("secret");
        error.traceback = Some("stack".into());
        let error = CallError::Script(error);
        let told = shown(failed_call(&error, false)).await;
        assert_eq!(told, r#"500 application/json {"error":{"code":"GR0302","message":"the route failed"}}"#);
        let told = shown(failed_call(&error, true)).await;
        assert!(told.contains("secret") && told.contains("stack"), "{told}");
    }

    #[test]
    fn call_03_a_call_that_may_be_sent_again_says_so() {
        let error = CallError::GateTimeout { module: "web".into(), waited: Duration::from_secs(5) };
        let response = failed_call(&error, false);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }
}
