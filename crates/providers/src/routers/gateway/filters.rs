//! What an HTTPRoute does with requests beside routing them: headers, rewrite, mirrors, CORS, timeouts; and what a Canary asks of that in vain.
//!
//! Reads `spec.service` and `spec.analysis`, yields JSON of `rules[].filters[]` and `rules[].timeouts`; reads nothing live.
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httproutefilter>

use super::Version;
use crate::routers::affinity::SET_COOKIE;
use api::{BackendReference, CorsPolicy, GoDuration, HeaderOperations, HttpMatchRequest, HttpRewrite, Rollout};
use objects::paths::set;
use serde_json::{Map, Value, json};

/// The filters of every rule, in the order in which they are written.
pub(super) fn filters(rollout: &Rollout, version: Version) -> Vec<Value> {
    let service = &rollout.service;
    let headers = service.headers.as_ref();
    let request = headers.and_then(|headers| headers.request.as_ref());
    let response = headers.and_then(|headers| headers.response.as_ref());
    let cors = service.cors_policy.as_ref().filter(|_| version == Version::V1);
    let single = [
        request.map(|request| filter("RequestHeaderModifier", "requestHeaderModifier", modifier(request))),
        response.map(|response| filter("ResponseHeaderModifier", "responseHeaderModifier", modifier(response))),
        service.rewrite.as_ref().map(|rewrite| filter("URLRewrite", "urlRewrite", url_rewrite(rewrite))),
    ];
    let mirrors = service.mirror.iter().map(|mirror| request_mirror(&backend(&mirror.backend_ref)));
    let cors = cors.map(|policy| filter("CORS", "cors", cross_origin(policy)));
    single.into_iter().flatten().chain(mirrors).chain(cors).collect()
}

/// The filter that copies requests to the canary.
pub(super) fn mirror_to_canary(rollout: &Rollout) -> Value {
    request_mirror(
        &json!({"group": "", "kind": "Service", "name": rollout.canary_service, "port": rollout.service.port}),
    )
}

/// The filter of a backend that hands out a cookie.
pub(super) fn set_cookie(cookie: &str) -> Value {
    filter("ResponseHeaderModifier", "responseHeaderModifier", json!({"add": [cookie_header(cookie)]}))
}

/// The filters with a cookie handed out beside. A rule may carry one modifier of the response only, so a present one is extended.
pub(super) fn with_cookie(mut filters: Vec<Value>, cookie: &str) -> Vec<Value> {
    let present = filters.iter_mut().find_map(|filter| filter.get_mut("responseHeaderModifier"));
    match present.and_then(Value::as_object_mut) {
        Some(modifier) => {
            let add = modifier.entry("add").or_insert_with(|| json!([]));
            add.as_array_mut().into_iter().for_each(|add| add.push(cookie_header(cookie)));
        }
        None => filters.push(set_cookie(cookie)),
    }
    filters
}

/// `rules[].timeouts`, if there are any. Version v1beta1 has none.
pub(super) fn timeouts(rollout: &Rollout, version: Version) -> Option<Value> {
    let service = &rollout.service;
    let mut timeouts = json!({});
    set_some(&mut timeouts, "request", service.timeout.as_deref());
    set_some(&mut timeouts, "backendRequest", service.backend_timeout.as_deref());
    Some(timeouts).filter(|timeouts| version == Version::V1 && *timeouts != json!({}))
}

/// What the Canary asks for in vain, each in words for an event.
pub(super) fn missing(rollout: &Rollout, version: Version) -> Vec<String> {
    let (service, analysis, name) = (&rollout.service, &rollout.analysis, version.provider());
    let ignored = |condition: bool, field: &str| condition.then(|| format!("{field} is ignored by provider {name}"));
    let only_v1 = |condition: bool, field: &str| {
        (condition && version == Version::V1Beta1)
            .then(|| format!("{field} is ignored by provider {name}, use gatewayapi:v1"))
    };
    let affinity = analysis.session_affinity.as_ref();
    let weight = analysis.mirror && (1..100).contains(&analysis.mirror_weight);
    let both = affinity.is_some() && !analysis.matches.is_empty();
    [
        ignored(weight, "analysis.mirrorWeight").map(|text| format!("{text}: all requests are mirrored")),
        ignored(both, "analysis.sessionAffinity").map(|text| format!("{text} together with analysis.match")),
        only_v1(
            affinity.is_some_and(|affinity| affinity.primary_cookie_name.is_some()),
            "analysis.sessionAffinity.primaryCookieName",
        ),
        only_v1(service.timeout.is_some(), "service.timeout"),
        only_v1(service.backend_timeout.is_some(), "service.backendTimeout"),
        only_v1(service.cors_policy.is_some(), "service.corsPolicy"),
        ignored(service.retries.is_some(), "service.retries"),
    ]
    .into_iter()
    .flatten()
    .chain(service.cors_policy.iter().filter(|_| version == Version::V1).flat_map(missing_cors))
    .chain(ignored_selectors(rollout).into_iter().filter_map(|field| ignored(true, &field)))
    .collect()
}

fn missing_cors(policy: &CorsPolicy) -> Vec<String> {
    let patterns = policy.allow_origins.iter().any(|origin| origin.exact.is_none()).then(|| {
        "'corsPolicy.allowOrigins' with prefix or regex is not supported by Gateway API, use 'corsPolicy.allowOrigin' instead"
            .to_owned()
    });
    let age = policy.max_age.as_ref().filter(|text| max_age(text).is_none()).map(|text| {
        format!("corsPolicy.maxAge {text:?} is ignored: it must be a duration of at least one second, such as 24h")
    });
    patterns.into_iter().chain(age).collect()
}

/// The selectors in matches that an HTTPRoute cannot express and that are left out: the route is wider than asked for.
fn ignored_selectors(rollout: &Rollout) -> Vec<String> {
    let fields = |list: &str, index: usize, entry: &HttpMatchRequest| {
        [
            (entry.scheme.is_some(), "scheme"),
            (entry.authority.is_some(), "authority"),
            (entry.port != 0, "port"),
            (!entry.source_labels.is_empty(), "sourceLabels"),
            (!entry.gateways.is_empty(), "gateways"),
            (entry.ignore_uri_case, "ignoreUriCase"),
            (!entry.without_headers.is_empty(), "withoutHeaders"),
            (entry.source_namespace.is_some(), "sourceNamespace"),
        ]
        .into_iter()
        .filter(|(present, _)| *present)
        .map(|(_, field)| format!("{list}[{index}].{field}"))
        .collect::<Vec<_>>()
    };
    let service = rollout.service.matches.iter().enumerate();
    let analysis = rollout.analysis.matches.iter().enumerate();
    service
        .flat_map(|(index, entry)| fields("service.match", index, entry))
        .chain(analysis.flat_map(|(index, entry)| fields("analysis.match", index, entry)))
        .collect()
}

fn filter(kind: &str, key: &str, content: Value) -> Value {
    let mut filter = json!({"type": kind});
    set(&mut filter, &[key], content);
    filter
}

fn modifier(operations: &HeaderOperations) -> Value {
    let mut modifier = Map::new();
    for (key, headers) in [("set", &operations.set), ("add", &operations.add)] {
        if !headers.is_empty() {
            // The map is sorted by name, which keeps the route the same from one rendering to the next.
            let headers = headers.iter().map(|(name, value)| json!({"name": name, "value": value}));
            modifier.insert(key.to_owned(), headers.collect());
        }
    }
    if !operations.remove.is_empty() {
        modifier.insert("remove".to_owned(), json!(operations.remove));
    }
    Value::Object(modifier)
}

fn cookie_header(cookie: &str) -> Value {
    json!({"name": SET_COOKIE, "value": cookie})
}

fn url_rewrite(rewrite: &HttpRewrite) -> Value {
    let mut result = json!({});
    set_some(&mut result, "hostname", rewrite.authority.as_deref());
    let path = rewrite.uri.as_ref().map(|uri| match rewrite.kind.as_deref() {
        Some("ReplacePrefixMatch") => json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": uri}),
        _ => json!({"type": "ReplaceFullPath", "replaceFullPath": uri}),
    });
    set_some(&mut result, "path", path);
    result
}

fn request_mirror(backend: &Value) -> Value {
    filter("RequestMirror", "requestMirror", json!({"backendRef": backend}))
}

/// Group and kind have defaults in the Canary's CRD; they are written also where those were not applied.
fn backend(reference: &BackendReference) -> Value {
    let mut backend = json!({
        "group": reference.group.as_deref().unwrap_or_default(),
        "kind": reference.kind.as_deref().unwrap_or("Service"),
        "name": reference.name,
    });
    set_some(&mut backend, "namespace", reference.namespace.as_deref());
    set_some(&mut backend, "port", reference.port);
    backend
}

fn cross_origin(policy: &CorsPolicy) -> Value {
    let exact = policy.allow_origins.iter().filter_map(|origin| origin.exact.clone());
    let origins: Vec<_> = policy.allow_origin.iter().cloned().chain(exact).collect();
    let mut cors = json!({});
    let lists = [
        ("allowOrigins", &origins),
        ("allowMethods", &policy.allow_methods),
        ("allowHeaders", &policy.allow_headers),
        ("exposeHeaders", &policy.expose_headers),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        set(&mut cors, &[key], json!(list));
    }
    set_some(&mut cors, "allowCredentials", policy.allow_credentials.filter(|allow| *allow));
    set_some(&mut cors, "maxAge", policy.max_age.as_deref().and_then(max_age));
    cors
}

/// Whole seconds, as far as the API server accepts them. `None`: the text is no duration, or one below a second.
fn max_age(text: &str) -> Option<i32> {
    let seconds = text.parse::<GoDuration>().ok()?.as_secs();
    i32::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

fn set_some<T: Into<Value>>(object: &mut Value, key: &str, value: Option<T>) {
    if let Some(value) = value {
        set(object, &[key], value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rollout;

    fn v1(service: &str) -> Value {
        Value::Array(filters(&rollout(&format!("service: {service}")), Version::V1))
    }

    #[test]
    fn filters_come_in_a_fixed_order() {
        let service = "{
            corsPolicy: {allowOrigin: [https://a.example], allowOrigins: [{exact: https://b.example}, {prefix: https://c}],
                allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], allowCredentials: true, maxAge: 90500ms},
            mirror: [{backendRef: {name: shadow, namespace: test, port: 81}}],
            rewrite: {uri: /new, authority: new.example, type: ReplacePrefixMatch},
            headers: {request: {set: {b: '2', a: '1'}, add: {c: '3'}, remove: [z, y]}, response: {remove: [server]}}}";
        let expected = json!([
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                "set": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
                "add": [{"name": "c", "value": "3"}],
                "remove": ["z", "y"],
            }},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}},
            {"type": "URLRewrite", "urlRewrite": {
                "hostname": "new.example", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}},
            {"type": "RequestMirror", "requestMirror": {
                "backendRef": {"group": "", "kind": "Service", "name": "shadow", "namespace": "test", "port": 81}}},
            {"type": "CORS", "cors": {
                "allowOrigins": ["https://a.example", "https://b.example"], "allowMethods": ["GET"], "allowHeaders": ["x-a"],
                "exposeHeaders": ["x-b"], "allowCredentials": true, "maxAge": 90}},
        ]);
        assert_eq!(v1(service), expected);
        let beta = filters(&rollout(&format!("service: {service}")), Version::V1Beta1);
        assert_eq!(beta.as_slice(), &expected.as_array().unwrap()[..4]);
    }

    #[test]
    fn empty_settings_and_unknown_kinds_of_rewriting() {
        assert_eq!(
            v1("{headers: {request: {}}}"),
            json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {}}])
        );
        let full = json!([{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}}}]);
        assert_eq!(v1("{rewrite: {uri: /x}}"), full);
        assert_eq!(v1("{rewrite: {uri: /x, type: Else}}"), full);
        assert_eq!(v1("{corsPolicy: {allowCredentials: false}}"), json!([{"type": "CORS", "cors": {}}]));
    }

    #[test]
    fn timeouts_are_written_as_they_are_and_only_if_set() {
        let both = rollout("{service: {timeout: 10s, backendTimeout: 5s}}");
        assert_eq!(timeouts(&both, Version::V1), Some(json!({"request": "10s", "backendRequest": "5s"})));
        assert_eq!(timeouts(&both, Version::V1Beta1), None);
        assert_eq!(
            timeouts(&rollout("{service: {backendTimeout: 5s}}"), Version::V1),
            Some(json!({"backendRequest": "5s"}))
        );
        assert_eq!(timeouts(&rollout(""), Version::V1), None);
    }

    #[test]
    fn durations_that_the_server_would_refuse_are_left_out() {
        for (text, seconds) in
            [("1d", None), ("", None), ("500ms", None), ("-5s", None), ("1.9s", Some(1)), ("24h", Some(86_400))]
        {
            assert_eq!(max_age(text), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_asked_in_vain_is_told() {
        let spec = "{
            service: {timeout: 1s, retries: {attempts: 3}, match: [{uri: {prefix: /}, authority: {exact: a}, sourceLabels: {a: b}}],
                corsPolicy: {maxAge: 1d, allowOrigins: [{regex: .*}]}},
            analysis: {mirror: true, mirrorWeight: 20, match: [{headers: {x: {exact: a}}}], sessionAffinity: {cookieName: c, primaryCookieName: p}}}";
        assert_eq!(
            missing(&rollout(spec), Version::V1),
            [
                "analysis.mirrorWeight is ignored by provider gatewayapi:v1: all requests are mirrored",
                "analysis.sessionAffinity is ignored by provider gatewayapi:v1 together with analysis.match",
                "service.retries is ignored by provider gatewayapi:v1",
                "'corsPolicy.allowOrigins' with prefix or regex is not supported by Gateway API, use 'corsPolicy.allowOrigin' instead",
                "corsPolicy.maxAge \"1d\" is ignored: it must be a duration of at least one second, such as 24h",
                "service.match[0].authority is ignored by provider gatewayapi:v1",
                "service.match[0].sourceLabels is ignored by provider gatewayapi:v1",
            ]
        );
        assert_eq!(
            missing(&rollout(spec), Version::V1Beta1),
            [
                "analysis.mirrorWeight is ignored by provider gatewayapi:v1beta1: all requests are mirrored",
                "analysis.sessionAffinity is ignored by provider gatewayapi:v1beta1 together with analysis.match",
                "analysis.sessionAffinity.primaryCookieName is ignored by provider gatewayapi:v1beta1, use gatewayapi:v1",
                "service.timeout is ignored by provider gatewayapi:v1beta1, use gatewayapi:v1",
                "service.corsPolicy is ignored by provider gatewayapi:v1beta1, use gatewayapi:v1",
                "service.retries is ignored by provider gatewayapi:v1beta1",
                "service.match[0].authority is ignored by provider gatewayapi:v1beta1",
                "service.match[0].sourceLabels is ignored by provider gatewayapi:v1beta1",
            ]
        );
        let usual = "{service: {match: [{uri: {prefix: /}, name: all}], corsPolicy: {maxAge: 24h}}, analysis: {mirror: true, mirrorWeight: 100}}";
        assert_eq!(missing(&rollout(usual), Version::V1), [""; 0]);
    }
}
