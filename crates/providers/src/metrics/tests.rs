//! Requests to the byte, values, and every text that becomes an event.

#![expect(clippy::unnecessary_wraps, clippy::needless_pass_by_value, reason = "helpers take and yield what is at hand")]

use super::*;
use crate::http::Method;
use crate::testing::{allowed_values, rollout, rollout_with};
use api::Settings;
use serde_json::{Value, json};
use std::time::Duration;

fn metric(fields: &str) -> Rollout {
    rollout(&format!("{{analysis: {{metrics: [{fields}]}}}}"))
}

fn metric_of(rollout: &Rollout) -> &CanaryMetric {
    &rollout.analysis.metrics[0]
}

/// The request of the first metric.
fn asked(rollout: &Rollout, check: Check) -> Result<Request, MetricTrouble> {
    builtin(rollout, metric_of(rollout), check, None)
}

fn answer(status: u16, body: &str) -> Result<Response, SendError> {
    Ok(Response { status, retry_after: None, body: body.as_bytes().to_vec(), truncated: false })
}

fn result(result: &Value) -> Result<Response, SendError> {
    answer(200, &json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string())
}

/// An answer with one series.
fn one(value: &str) -> Result<Response, SendError> {
    result(&json!([{"metric": {"__name__": "x"}, "value": [1_545_905_245.458, value]}]))
}

fn failed<T>(text: &str) -> Result<T, MetricTrouble> {
    Err(MetricTrouble::Failed(text.to_owned()))
}

fn none<T>(text: &str) -> Result<T, MetricTrouble> {
    Err(MetricTrouble::NoValues(text.to_owned()))
}

fn setup<T>(text: &str) -> Result<T, MetricTrouble> {
    Err(MetricTrouble::Setup(text.to_owned()))
}

/// A template `errors` in the namespace `monitoring`; provider and query as given.
fn template_of(provider: Value, query: &str) -> MetricTemplate {
    serde_json::from_value(json!({
        "metadata": {"name": "errors", "namespace": "monitoring"},
        "spec": {"provider": provider, "query": query},
    }))
    .unwrap()
}

fn at(address: &str) -> MetricTemplate {
    template_of(json!({"type": "prometheus", "address": address}), "up")
}

fn secret(keys: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    keys.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect()
}

/// The request of a template for a metric without settings.
fn asked_by(
    template: &MetricTemplate,
    credentials: Option<&BTreeMap<String, Secret>>,
) -> Result<Request, MetricTrouble> {
    let rollout = metric("{name: errors, templateRef: {name: errors, namespace: monitoring}}");
    template_request(&rollout, metric_of(&rollout), template, credentials, None)
}

fn url_of(template: &MetricTemplate) -> String {
    asked_by(template, None).unwrap().url.reveal().to_owned()
}

fn headers_of(template: &MetricTemplate, keys: &[(&str, &str)]) -> Vec<(String, String)> {
    let headers = asked_by(template, Some(&secret(keys))).unwrap().headers;
    headers.into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect()
}

#[test]
fn sources_are_sorted_and_unique() {
    let kinds: Vec<_> = SOURCES.iter().map(|source| source.kind()).collect();
    assert!(kinds.is_sorted_by(|a, b| a < b), "{kinds:?}");
}

#[test]
fn every_kind_of_the_crd_is_built_or_known_not_to_be() {
    let mut allowed = allowed_values(&api::crd::metric_template(), "prometheus");
    let mut known: Vec<_> = SOURCES.iter().map(|source| source.kind()).chain(NOT_YET).collect();
    allowed.sort();
    known.sort_unstable();
    assert_eq!(allowed, known);
}

#[test]
fn builtin_metrics_ask_the_operators_prometheus_or_the_canarys() {
    let request = asked(&metric("{name: request-success-rate}"), Check::SuccessRate).unwrap();
    assert!(
        request
            .url
            .reveal()
            .starts_with("http://prometheus:9090/api/v1/query?query=+sum%28+rate%28+istio_requests_total%7B+"),
        "{:?}",
        request.url.reveal()
    );
    assert!(request.url.reveal().contains("%5B1m%5D"), "the default window is one minute");
    assert_eq!(
        (request.method, request.timeout, request.insecure, request.headers),
        (Method::Get, Duration::from_secs(5), false, Vec::new())
    );
    let own = rollout("{metricsServer: 'http://me:pw@own/prom/', analysis: {metrics: [{name: x, query: up}]}}");
    assert_eq!(asked(&own, Check::Inline).unwrap().url.reveal(), "http://me:pw@own/prom/api/v1/query?query=up");
}

#[test]
fn a_prometheus_without_a_url_is_told_without_its_password() {
    let own = rollout("{metricsServer: 'http://me:pw@a b', analysis: {metrics: [{name: x, query: '{{ nonsense }}'}]}}");
    assert_eq!(
        asked(&own, Check::Inline),
        setup(
            "Error building Prometheus client for http://me:xxxxx@a b prometheus address http://me:xxxxx@a b is not a valid URL"
        )
    );
}

#[test]
fn under_knative_the_newest_revision_is_the_route() {
    let rollout = rollout("{provider: knative, analysis: {metrics: [{name: request-success-rate}]}}");
    let request = builtin(&rollout, metric_of(&rollout), Check::SuccessRate, Some("cart-00007")).unwrap();
    assert!(request.url.reveal().contains("envoy_cluster_name%3D~%22shop%2Fcart-00007%22"), "{}", request.url.reveal());
}

#[test]
fn inline_queries_are_rendered_and_joined_to_one_line() {
    let query =
        "sum(\\n  # the namespace\\n  up{ns=\\\"{{ namespace }}\\\", text=\\\"a  # b\\\"}\\t[{{ interval }}]\\n)\\n";
    let rollout = metric(&format!("{{name: x, interval: 30s, query: \"{query}\"}}"));
    let url = asked(&rollout, Check::Inline).unwrap().url.reveal().to_owned();
    assert_eq!(
        url.split_once("?query=").unwrap().1,
        "sum%28+up%7Bns%3D%22shop%22%2C+text%3D%22a++%23+b%22%7D+%5B30s%5D+%29+"
    );
}

#[test]
fn a_query_that_cannot_be_rendered_is_told_and_not_asked() {
    let rollout = metric("{name: x, query: '{{ foo }}'}");
    assert_eq!(
        asked(&rollout, Check::Inline),
        failed("template parsing failed: template: tmpl:1: function \"foo\" not defined")
    );
}

#[test]
fn success_rates_are_percents() {
    let rollout = metric("{name: request-success-rate}");
    assert_eq!(builtin_value(&rollout, Check::SuccessRate, one("99.5")), Ok(99.5));
}

#[test]
fn durations_are_whole_milliseconds() {
    let value = |provider: &str, value: &str| {
        builtin_value(&rollout(&format!("{{provider: {provider}}}")), Check::Duration, one(value))
    };
    assert_eq!(value("istio", "1515.9"), Ok(1515.0));
    assert_eq!(value("istio", "0.9"), Ok(0.0));
    assert_eq!(value("kubernetes", "1.5159"), Ok(1515.0));
    assert_eq!(value("gatewayapi:v1", "0.5"), Ok(500.0));
    assert_eq!(value("istio", "+Inf"), Ok(9_223_372_036_854.0));
    assert_eq!(value("kubernetes", "-Inf"), Ok(-9_223_372_036_854.0));
}

#[test]
fn no_traffic_is_told_as_users_know_it() {
    let istio = metric("{name: request-success-rate}");
    let empty = || result(&json!([]));
    assert_eq!(builtin_value(&istio, Check::SuccessRate, empty()), none("running query failed: no values found"));
    assert_eq!(builtin_value(&istio, Check::SuccessRate, one("NaN")), none("running query failed: no values found"));
    assert_eq!(builtin_value(&istio, Check::Duration, empty()), none("running query failed: no values found"));
    assert_eq!(builtin_value(&istio, Check::Inline, empty()), none("no values found"));
    // Only here the step is not named, and only for the success rate.
    let kubernetes = rollout("{provider: kubernetes}");
    assert_eq!(builtin_value(&kubernetes, Check::SuccessRate, empty()), none("no values found"));
    assert_eq!(builtin_value(&kubernetes, Check::Duration, empty()), none("running query failed: no values found"));
}

#[test]
fn what_went_wrong_is_told() {
    let rollout = metric("{name: request-success-rate}");
    let value = |check, answer| builtin_value(&rollout, check, answer);
    let unreachable = || Err(SendError { message: "connection refused".to_owned(), retriable: true });
    assert_eq!(
        value(Check::SuccessRate, unreachable()),
        failed("running query failed: request failed: connection refused")
    );
    assert_eq!(value(Check::Inline, unreachable()), failed("request failed: connection refused"));
    let broken = Err(SendError { message: "error reading body: reset".to_owned(), retriable: true });
    assert_eq!(value(Check::Inline, broken), failed("error reading body: reset"));
    assert_eq!(
        value(Check::Inline, answer(400, "parse error")),
        failed("error response: Status 400 Bad Request: parse error")
    );
}

#[test]
fn the_last_series_counts() {
    let value = |series: Value| template_value(&at("http://prom"), result(&series));
    let series = |text: &str| json!({"metric": {}, "value": [1.5, text]});
    assert_eq!(value(json!([series("1"), series("-2.5e3")])), Ok(-2500.0));
    assert_eq!(value(json!([series("1"), series("NaN")])), none("no values found"));
    assert_eq!(value(json!([series("+Inf")])), Ok(f64::INFINITY));
    // Native histograms, short values, values that are no texts.
    assert_eq!(value(json!([{"metric": {}, "histogram": [1.5, {"count": "3"}]}])), none("no values found"));
    assert_eq!(value(json!([series("7"), {"value": [1.5]}, {"value": [1.5, 3]}])), Ok(7.0));
    assert_eq!(
        value(json!([{"metric": {}, "values": [[1, "2"], [3, "4"]]}])),
        failed("query returned multiple values")
    );
    assert_eq!(value(json!([series("abc")])), failed("strconv.ParseFloat: parsing \"abc\": invalid syntax"));
    assert_eq!(value(json!([series("1e999")])), failed("strconv.ParseFloat: parsing \"1e999\": value out of range"));
}

#[test]
fn an_answer_that_is_none_is_shown() {
    let value = |body: &str| template_value(&at("http://prom"), answer(200, body));
    for nothing in ["{}", r#"{"data":null}"#, r#"{"data":{"result":null}}"#] {
        assert_eq!(value(nothing), none("no values found"), "{nothing}");
    }
    for (body, why) in [
        ("<html>", "expected value at line 1 column 1"),
        (r#"{"data":{"result":[1.5,"1"]}}"#, "invalid type: floating point `1.5`"),
    ] {
        let Err(MetricTrouble::Failed(text)) = value(body) else { panic!("{body} is no answer") };
        assert!(
            text.starts_with(&format!("error unmarshaling result: {why}")) && text.ends_with(&format!(", '{body}'")),
            "{text}"
        );
    }
}

#[test]
fn paths_of_addresses_are_kept() {
    assert_eq!(url_of(&at("http://prom:9090")), "http://prom:9090/api/v1/query?query=up");
    assert_eq!(url_of(&at("https://prom/a//b/?x=1#y")), "https://prom/a/b/api/v1/query?query=up");
}

#[test]
fn credentials_become_one_authorization() {
    let bare = at("http://prom");
    assert_eq!(
        headers_of(&bare, &[("token", "abc\n"), ("username", "me")]),
        [("Authorization".to_owned(), "Bearer abc".to_owned())]
    );
    assert_eq!(
        headers_of(&bare, &[("username", "me"), ("password", "pw")]),
        [("Authorization".to_owned(), "Basic bWU6cHc=".to_owned())]
    );
    assert_eq!(headers_of(&bare, &[("token", "")]), []);
    assert_eq!(headers_of(&bare, &[("username", "me"), ("password", "")]), []);
    let own = template_of(
        json!({"type": "prometheus", "address": "http://a:b@prom", "headers": {"authorization": ["mine"]}}),
        "up",
    );
    assert_eq!(headers_of(&own, &[("token", "abc")]), [("Authorization".to_owned(), "Bearer abc".to_owned())]);
    assert_eq!(headers_of(&own, &[("token", "")]), [("authorization".to_owned(), "mine".to_owned())]);
    // Name and password of the address are sent by the client, unless there is another Authorization.
    assert_eq!(url_of(&own), "http://prom/api/v1/query?query=up");
    assert_eq!(url_of(&at("http://a:b@prom")), "http://a:b@prom/api/v1/query?query=up");
}

#[test]
fn headers_are_sent_as_written_and_the_same_each_time() {
    let provider = json!({
        "type": "prometheus", "address": "https://prom", "insecureSkipVerify": true,
        "headers": {"X-Scope-OrgID": ["a", "b"], "Host": ["other"]},
    });
    let template = template_of(provider, "up");
    let expected: Vec<_> = [("X-Scope-OrgID", "a"), ("X-Scope-OrgID", "b"), ("Authorization", "Bearer t")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(headers_of(&template, &[("token", "t")]), expected);
    assert_eq!(headers_of(&template, &[("token", "t")]), expected);
    assert!(asked_by(&template, None).unwrap().insecure);
}

#[test]
fn templates_that_cannot_be_asked_are_told_whole() {
    let prefix = "Metric template errors.monitoring provider prometheus error: prometheus";
    for address in ["", "127.0.0.1:9090"] {
        assert_eq!(asked_by(&at(address), None), setup(&format!("{prefix} address {address} is not a valid URL")));
    }
    let error = |keys: &[(&str, &str)]| asked_by(&at("http://prom"), Some(&secret(keys)));
    assert_eq!(error(&[]), setup(&format!("{prefix} credentials does not contain a username")));
    assert_eq!(error(&[("username", "me")]), setup(&format!("{prefix} credentials does not contain a password")));
}

#[test]
fn a_bad_source_is_told_before_a_bad_query() {
    let provider = json!({"type": "prometheus", "address": "http://prom"});
    assert_eq!(
        asked_by(&template_of(provider, "{{ foo }}"), None),
        setup(
            "Metric template errors.monitoring query render error: template parsing failed: template: tmpl:1: function \"foo\" not defined"
        )
    );
    assert_eq!(
        asked_by(&template_of(json!({"type": "prometheus"}), "{{ foo }}"), None),
        setup("Metric template errors.monitoring provider prometheus error: prometheus address  is not a valid URL")
    );
}

#[test]
fn kinds_of_sources() {
    assert_eq!(
        asked_by(&template_of(json!({"type": "datadog"}), "q"), None),
        setup(
            "Metric template errors.monitoring provider datadog error: provider type datadog is not supported by this version yet"
        )
    );
    let unknown = |address: &str| template_of(json!({"type": "mimir", "address": address}), "up");
    assert_eq!(url_of(&unknown("http://m")), "http://m/api/v1/query?query=up");
    assert_eq!(
        asked_by(&unknown(""), None),
        setup("Metric template errors.monitoring provider mimir error: mimir address  is not a valid URL")
    );
}

#[test]
fn templates_render_with_the_variables_of_the_metric_and_a_default_window() {
    let rollout = metric("{name: errors, templateRef: {name: errors}, templateVariables: {code: '404'}}");
    let template = template_of(
        json!({"type": "prometheus", "address": "http://p"}),
        "x{c=\"{{ variables.code }}\"}[{{ interval }}]",
    );
    let request = template_request(&rollout, metric_of(&rollout), &template, None, None).unwrap();
    assert_eq!(request.url.reveal(), "http://p/api/v1/query?query=x%7Bc%3D%22404%22%7D%5B1m%5D");
}

#[test]
fn what_is_missing_is_told_whole() {
    let rollout = metric("{name: x, templateRef: {name: errors}}");
    let missing = template_missing(&rollout, metric_of(&rollout), "metrictemplate.flagger.app \"errors\" not found");
    assert_eq!(
        missing,
        MetricTrouble::Setup(
            "Metric template errors.shop error: metrictemplate.flagger.app \"errors\" not found".to_owned()
        )
    );
    let template = template_of(json!({"type": "prometheus", "secretRef": {"name": "auth"}}), "up");
    let unreadable = secret_unreadable(&rollout, metric_of(&rollout), &template, "secrets \"auth\" not found");
    assert_eq!(
        unreadable,
        MetricTrouble::Setup("Metric template errors.shop secret auth error: secrets \"auth\" not found".to_owned())
    );
}

#[test]
fn before_the_first_analysis_everybody_is_asked_in_order() {
    let metrics = "{name: custom, templateRef: {name: t, namespace: n}}, {name: request-duration, templateRef: {name: ignored}}, {name: inline, query: up}, \
                   {name: other, templateRef: {name: u}}";
    let settings = Settings { metrics_server: "http://global".to_owned(), ..Settings::default() };
    let template =
        |name: &str, namespace: &str| Probe::Template { name: name.to_owned(), namespace: namespace.to_owned() };
    assert_eq!(
        probes(&rollout_with(&format!("{{analysis: {{metrics: [{metrics}]}}}}"), settings)),
        [template("t", "n"), Probe::Prometheus { url: "http://global".to_owned() }, template("u", "shop")]
    );
    let own = rollout("{metricsServer: 'http://own', analysis: {metrics: [{name: request-success-rate}]}}");
    assert_eq!(probes(&own), [Probe::Prometheus { url: "http://own".to_owned() }]);
}

#[test]
fn a_prometheus_is_there_if_it_can_count_to_one() {
    assert_eq!(prometheus_probe("http://prom").unwrap().url.reveal(), "http://prom/api/v1/query?query=vector%281%29");
    assert_eq!(
        prometheus_probe("127.0.0.1:1").unwrap_err(),
        "error building Prometheus client for 127.0.0.1:1 prometheus address 127.0.0.1:1 is not a valid URL"
    );
    let online = prometheus_online;
    assert_eq!(online(one("1")), Ok(()));
    assert_eq!(online(one("2")), Err("prometheus not avaiable: value is not 1 for query: vector(1)".to_owned()));
    assert_eq!(
        online(result(&json!([]))),
        Err("prometheus not avaiable: running query failed: no values found".to_owned())
    );
    assert_eq!(
        online(Err(SendError { message: "refused".to_owned(), retriable: true })),
        Err("prometheus not avaiable: running query failed: request failed: refused".to_owned())
    );
}

#[test]
fn the_source_of_a_template_is_asked_the_same_way() {
    let template = at("http://prom/x");
    let request = template_probe(&template, Some(&secret(&[("token", "t")]))).unwrap();
    assert_eq!((request.url.reveal(), request.headers.len()), ("http://prom/x/api/v1/query?query=vector%281%29", 1));
    assert_eq!(
        template_probe(&at(""), None).unwrap_err(),
        "metric template errors.monitoring provider prometheus error: prometheus address  is not a valid URL"
    );
    assert_eq!(template_online(&template, one("1")), Ok(()));
    assert_eq!(
        template_online(&template, answer(401, "who")),
        Err("prometheus in metric template errors.monitoring not avaiable: running query failed: error response: Status 401 Unauthorized: who".to_owned())
    );
}

#[test]
fn the_gauge_shows_durations_in_seconds() {
    assert!((gauge_value(Check::Duration, 1515.0) - 1.515).abs() < 1e-12);
    assert!((gauge_value(Check::SuccessRate, 99.5) - 99.5).abs() < 1e-12);
}
