//! ingress-nginx: an `Ingress` with a path to the Service, and a second one for the same host that is marked as its canary.
//!
//! Reads the annotations `canary`, `canary-weight`, `canary-weight-total`, `canary-by-header` (-`value`, -`pattern`), `canary-by-cookie` and
//! `mirror-target`, all with the prefix `nginx.ingress.kubernetes.io`. Header before cookie before weight.
//! Source: <https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary>

use super::matching::{path_prefix, whole, within};
use super::{Asked, NoWay, Way, name_of, service_of};
use crate::dataplane::{Objects, Spread};
use objects::paths::{annotation, list, text};
use serde_json::Value;

pub(super) fn way(objects: &dyn Objects, spread: &mut Spread, asked: &Asked) -> Option<Result<Way, NoWay>> {
    let ingresses = objects.list("Ingress", &asked.namespace);
    let (canaries, others): (Vec<_>, Vec<_>) =
        ingresses.iter().partition(|ingress| setting(ingress, "canary") == Some("true"));
    let (ingress, host) = others.into_iter().find_map(|ingress| Some((ingress, host_of(ingress, asked)?)))?;
    let canary = canaries.into_iter().find_map(|canary| Some((canary, backend(canary, host, asked)?)));
    let mut way = match canary {
        Some((canary, service)) if takes(canary, spread, asked) => Way { by_canary_ingress: true, ..Way::to(service) },
        _ => Way::to(&asked.apex),
    };
    way.ingress = Some(name_of(ingress).to_owned());
    way.mirror = setting(ingress, "mirror-target").and_then(mirror_target);
    Some(Ok(way))
}

fn setting<'a>(ingress: &'a Value, name: &str) -> Option<&'a str> {
    annotation(ingress, &format!("nginx.ingress.kubernetes.io/{name}"))
}

/// The host of the rule that sends this path to the Service.
fn host_of<'a>(ingress: &'a Value, asked: &Asked) -> Option<&'a str> {
    let to_apex = |rule: &&Value| paths(rule, asked).any(|path| text(path, "/backend/service/name") == asked.apex);
    list(ingress, "/spec/rules").find(to_apex).map(|rule| text(rule, "/host"))
}

/// The Service that a canary has for the host and the path.
fn backend(ingress: &Value, host: &str, asked: &Asked) -> Option<String> {
    let rule = list(ingress, "/spec/rules").find(|rule| text(rule, "/host") == host)?;
    paths(rule, asked).next().map(|path| text(path, "/backend/service/name").to_owned())
}

fn paths<'a>(rule: &'a Value, asked: &'a Asked) -> impl Iterator<Item = &'a Value> {
    list(rule, "/http/paths").filter(|path| match text(path, "/pathType") {
        "Exact" => text(path, "/path") == asked.path,
        _ => path_prefix(text(path, "/path"), &asked.path),
    })
}

/// Whether the canary takes the request.
fn takes(canary: &Value, spread: &mut Spread, asked: &Asked) -> bool {
    let by_header =
        setting(canary, "canary-by-header").and_then(|name| by_header(canary, asked.header(name)?.as_str()));
    let by_cookie = || setting(canary, "canary-by-cookie").and_then(|name| always(asked.cookie(name)?.as_str()));
    by_header.or_else(by_cookie).unwrap_or_else(|| {
        let number = |name: &str| setting(canary, name).and_then(|text| text.parse::<i64>().ok());
        let total = number("canary-weight-total").filter(|total| *total > 0).unwrap_or(100);
        let weight = number("canary-weight").unwrap_or(0).clamp(0, total);
        spread.next(&format!("Ingress {}.{}", name_of(canary), asked.namespace), &[weight, total - weight]) == Some(0)
    })
}

/// `None`: the header does not decide, and what comes next does.
fn by_header(canary: &Value, seen: &str) -> Option<bool> {
    match (setting(canary, "canary-by-header-value"), setting(canary, "canary-by-header-pattern")) {
        (Some(value), _) => (seen == value).then_some(true),
        (None, Some(pattern)) => within(pattern, seen).then_some(true),
        (None, None) => always(seen),
    }
}

fn always(text: &str) -> Option<bool> {
    match text {
        "always" => Some(true),
        "never" => Some(false),
        _ => None,
    }
}

/// The Service in `http://shop-canary.test.svc.cluster.local:80$request_uri`; none for targets outside of the cluster.
fn mirror_target(target: &str) -> Option<String> {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
    let host = rest.split(['/', ':', '$']).next()?;
    whole(r"[a-z0-9-]+\.[a-z0-9-]+(\.svc.*)?", host).then(|| service_of(host))
}
