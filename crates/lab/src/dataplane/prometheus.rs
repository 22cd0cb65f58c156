//! `/api/v1/query` as Prometheus answers it, over the samples of this data plane.
//!
//! GET with the parameter `query`, or POST with it in a form. Other parameters are not looked at. What can be asked is in [`super::promql`].
//! Source: <https://prometheus.io/docs/prometheus/latest/querying/api/>

use super::http::{self, Answer};
use super::{Samples, promql};
use ::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn answer(samples: Arc<Samples>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    if head.uri.path() != "/api/v1/query" {
        return http::plain(StatusCode::NOT_FOUND, "404 page not found");
    }
    let in_url = head.uri.query().and_then(|query| parameter(query, "query"));
    let query = match in_url {
        Some(query) => Some(query),
        None => match Limited::new(body, 64 * 1024).collect().await {
            Ok(body) => parameter(&String::from_utf8_lossy(&body.to_bytes()), "query"),
            Err(_) => None,
        },
    };
    let (status, body) = reply(&query.unwrap_or_default(), &samples, unix_time());
    let builder = Response::builder().status(status).header(::http::header::CONTENT_TYPE, "application/json");
    http::finish(builder, body.to_string())
}

/// Status and body for a query, `now` in seconds since 1970.
fn reply(query: &str, samples: &Samples, now: f64) -> (StatusCode, Value) {
    match promql::evaluate(query, samples) {
        Ok(value) => {
            let series: Vec<Value> =
                value.into_iter().map(|value| json!({"metric": {}, "value": [now, value.to_string()]})).collect();
            (StatusCode::OK, json!({"status": "success", "data": {"resultType": "vector", "result": series}}))
        }
        Err(error) => {
            (StatusCode::BAD_REQUEST, json!({"status": "error", "errorType": "bad_data", "error": error.to_string()}))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a label on the answer; nothing is decided by it")]
fn unix_time() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map(|passed| passed.as_secs_f64())
        .unwrap_or_default()
}

/// A parameter of a query string or form, decoded.
fn parameter(form: &str, name: &str) -> Option<String> {
    let pair = form.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    pair.map(|(_, value)| decoded(value))
}

/// `+` is a space, `%2B` a plus; what is no such code stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let mut ahead = rest.clone();
                match (hex(ahead.next()), hex(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                        rest = ahead;
                    }
                    _ => bytes.push(byte),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_as_forms_are() {
        assert_eq!(
            parameter("time=1&query=+sum%28x%7B+a%3D~%22b%2Bc%22+%7D%5B1m%5D%29", "query").unwrap(),
            " sum(x{ a=~\"b+c\" }[1m])"
        );
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%41"), "%zzA");
        assert_eq!(parameter("time=1", "query"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_look_as_those_of_prometheus() {
        let samples = Samples::default();
        assert_eq!(
            reply("vector(1)", &samples, 1.5),
            (
                StatusCode::OK,
                json!({"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1.5, "1"]}]}})
            )
        );
        let nothing = json!({"status": "success", "data": {"resultType": "vector", "result": []}});
        assert_eq!(reply("sum(rate(istio_requests_total[1m]))", &samples, 1.5), (StatusCode::OK, nothing));
        let (status, body) = reply("sum(", &samples, 1.5);
        assert_eq!((status, body["errorType"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_data")));
    }
}
