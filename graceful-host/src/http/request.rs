//! A request as the one value a route gets: method, path, params, query, headers, body.

use std::collections::BTreeMap;

use graceful_core::Value;
use hyper::body::Bytes;
use hyper::http::request::Parts;

use super::routes::decode;

/// The value of one request. Header names are lower-case, repeated ones joined by `, `; of repeated query
/// keys the last one counts.
pub(crate) fn request_value(parts: &Parts, params: BTreeMap<String, String>, body: Bytes) -> Value {
    let texts = |map: BTreeMap<String, String>| {
        Value::Map(map.into_iter().map(|(k, v)| (k, Value::Str(v))).collect())
    };
    Value::Map(BTreeMap::from([
        ("method".to_owned(), parts.method.as_str().into()),
        ("path".to_owned(), decode(parts.uri.path()).into()),
        ("params".to_owned(), texts(params)),
        ("query".to_owned(), texts(query(parts.uri.query().unwrap_or_default()))),
        ("headers".to_owned(), texts(headers(parts))),
        ("body".to_owned(), text_or_bytes(body)),
    ]))
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(key, value)| (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))).collect()
}

fn headers(parts: &Parts) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let known = headers.entry(name.as_str().to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(&value);
    }
    headers
}

fn text_or_bytes(body: Bytes) -> Value {
    match String::from_utf8(body.into()) {
        Ok(text) => Value::Str(text),
        Err(error) => Value::Bytes(error.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_a_request_is_in_its_value() {
        let request = hyper::Request::builder()
            .method("POST")
            .uri("/price/blue%20tea?size=1+kg&size=2%20kg&dry&=x")
            .header("X-Tag", "a")
            .header("x-tag", "b")
            .body(())
            .unwrap();
        let params = BTreeMap::from([("item".to_owned(), "blue tea".to_owned())]);
        let value = request_value(&request.into_parts().0, params, Bytes::from_static(b"\xff"));
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(
            text,
            r#"{"body":[255],"headers":{"x-tag":"a, b"},"method":"POST","params":{"item":"blue tea"},"path":"/price/blue tea","query":{"":"x","dry":"","size":"2 kg"}}"#
        );
    }
}
