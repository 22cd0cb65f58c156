//! Hooks and receivers of alerts: can they be called?

use super::case::Case;
use super::finding::Report;
use super::rules::{ALERT_ADDRESS, HOOK_REQUEST, MISSING_SECRET};
use crate::given::{self, Given};
use crate::manifests::Manifest;
use api::{AlertProvider, CanaryStatus, GoDuration, Phase};
use objects::kind::SECRET;
use objects::paths;
use providers::hooks;
use rollout::Payload;

/// Every hook of a Canary.
pub(super) fn check(case: &Case<'_>, report: &mut Report) {
    let payload = Payload::of(&CanaryStatus::default(), Phase::Progressing);
    for (index, hook) in case.rollout.analysis.webhooks.iter().enumerate() {
        let at = |field: &str| format!("spec.analysis.webhooks[{index}].{field}");
        if let Some(Err(error)) = hook.timeout.as_deref().filter(|text| !text.is_empty()).map(str::parse::<GoDuration>)
        {
            case.add(report, &HOOK_REQUEST, &at("timeout"), error.to_string(), "write it like 5s or 1m");
            continue;
        }
        if hook.url.is_empty() {
            continue;
        }
        let text = hooks::request(&case.rollout, hook, &payload).err().or_else(|| not_http(&hook.url));
        if let Some(text) = text {
            case.add(report, &HOOK_REQUEST, &at("url"), text, "write it like http://service.namespace/path");
        }
    }
}

/// Why a URL that can be read cannot be called.
pub(super) fn not_http(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        None => Some("is neither http:// nor https://".to_owned()),
        Some(rest) if rest.is_empty() || rest.starts_with(['/', ':', '?']) => Some("names no host".to_owned()),
        Some(_) => None,
    }
}

/// An AlertProvider in itself.
pub(super) fn check_alert_provider(given: &Given, manifest: &Manifest, report: &mut Report) {
    let provider: AlertProvider = match api::decode(manifest.object.clone()) {
        Ok(provider) => provider,
        Err(error) => {
            let problem = given::unreadable(manifest, &error);
            return report.add(&super::rules::SCHEMA, manifest, &problem.path, problem.message, problem.advice);
        }
    };
    let address = provider.spec.address.as_deref().filter(|address| !address.is_empty());
    if let Some(text) = address.and_then(not_http) {
        report.add(&ALERT_ADDRESS, manifest, "spec.address", text, "write the URL of the receiver, with https://");
    }
    let Some(reference) = &provider.spec.secret_ref else { return };
    let path = "spec.secretRef.name";
    let Some(secret) = given.find(&SECRET, given.namespace_of(manifest), &reference.name) else {
        let message = format!("there is no Secret {} in the provider's namespace among the manifests", reference.name);
        let advice = "give its manifest with -f too, or make sure that the cluster has it";
        return report.missing(&MISSING_SECRET, manifest, path, message, advice);
    };
    let has_address =
        ["/data", "/stringData"].iter().any(|it| paths::strings(&secret.object, it).contains_key("address"));
    if !has_address && address.is_none() {
        let message = format!("Secret {} has no key `address`, and there is no spec.address", reference.name);
        report.add(&ALERT_ADDRESS, manifest, path, message, "add the URL of the receiver to one of them");
    }
}
