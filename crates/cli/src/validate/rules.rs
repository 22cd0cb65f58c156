//! The rules, by their ids, which never change their meaning: users switch them off and search for them.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// It will not work, or not be taken by the API server.
    Error,
    /// It works, but hardly as it was meant.
    Warning,
}

impl Level {
    /// As shown.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its name in outputs and documentation.
    pub(super) id: &'static str,
    /// How bad a breach is.
    pub(super) level: Level,
    /// What is found, in half a sentence.
    pub(super) what: &'static str,
    /// Why it matters, in a sentence or two.
    pub(super) why: &'static str,
}

macro_rules! rules {
    ($( $name:ident = $id:literal, $level:ident, $what:literal, $why:literal; )+) => {
        $( #[doc = concat!("The rule `", $id, "`.")] pub(super) static $name: Rule = Rule { id: $id, level: Level::$level, what: $what, why: $why }; )+
        /// All rules, in the order of the documentation.
        pub(super) static ALL: &[&Rule] = &[$( &$name, )+];
    };
}

rules! {
    UNREADABLE_INPUT = "unreadable-input", Error, "a file that cannot be read",
        "Nothing else is looked at before all files can be read.";

    // The three kinds.
    API_VERSION = "api-version", Error, "a kind or version of flagger.app that there is none of",
        "The API server knows flagger.app/v1beta1 with Canary, MetricTemplate and AlertProvider.";
    SCHEMA = "schema", Error, "a field that is missing, of the wrong type, or has a value that is not allowed",
        "The API server refuses the object.";
    UNKNOWN_FIELD = "unknown-field", Error, "a field that does not exist",
        "kubectl refuses the object; other clients have it dropped without a word.";
    ANALYSIS_KIND = "analysis-kind", Error, "an analysis that is no strategy, or two at once",
        "Exactly one of iterations, stepWeight and stepWeights says how traffic moves.";
    INVALID_SPEC = "invalid-spec", Error, "a Canary that the controller refuses",
        "It emits the event `invalid canary spec` and touches nothing.";
    UNSUPPORTED = "unsupported", Error, "a kind of target, autoscaler, metric source or a provider that this version does not know",
        "The controller says so in an event and touches nothing.";
    DEPRECATED_FIELD = "deprecated-field", Warning, "a field with a successor",
        "It still works.";

    // What belongs together.
    MISSING_TARGET = "missing-target", Warning, "a target that is not among the manifests",
        "It may be elsewhere. With --complete this is an error. Nothing that depends on it can be checked.";
    MISSING_AUTOSCALER = "missing-autoscaler", Warning, "an autoscaler that is not among the manifests",
        "It may be elsewhere. With --complete this is an error.";
    MISSING_CONFIG = "missing-config", Warning, "a ConfigMap or Secret of the target's pods that is not among the manifests",
        "Without it no primary can be made. It may be elsewhere. With --complete this is an error.";
    MISSING_TEMPLATE = "missing-template", Warning, "a MetricTemplate that is not among the manifests",
        "Without it every check fails. It may be elsewhere. With --complete this is an error.";
    MISSING_ALERT_PROVIDER = "missing-alert-provider", Warning, "an AlertProvider that is not among the manifests",
        "Without it the alert is not sent. It may be elsewhere. With --complete this is an error.";
    MISSING_SECRET = "missing-secret", Warning, "a Secret of a MetricTemplate or AlertProvider that is not among the manifests",
        "It may be elsewhere. With --complete this is an error.";
    MISSING_INGRESS = "missing-ingress", Warning, "an Ingress that is not among the manifests",
        "It may be elsewhere. With --complete this is an error.";
    MISSING_GATEWAY = "missing-gateway", Warning, "a gateway in the Canary's own namespace that is not among the manifests",
        "It may be elsewhere. With --complete this is an error.";
    SHARED_TARGET = "shared-target", Error, "two Canaries for one target or one service name",
        "They overwrite each other's objects.";
    OWNED_BY_BOTH = "owned-by-both", Warning, "an object of the user's that the controller writes too",
        "Whoever applies the manifest again takes the controller's changes back, in the worst case in the middle of a release.";
    SELECTS_ONLY_TARGET = "selects-only-target", Warning, "a Service, NetworkPolicy or PodDisruptionBudget for the target's pods alone",
        "Between releases the target is scaled to zero, and the primary's pods, which serve, carry another value of the label.";

    // The workload.
    SELECTOR_LABEL = "selector-label", Error, "a target without a label by which the primary's pods can be told apart",
        "The controller makes neither primary nor Services.";
    SELECTOR_MISMATCH = "selector-mismatch", Error, "a workload whose selector does not select its own pods",
        "The API server refuses the workload.";
    TARGET_PORT = "target-port", Error, "a target port that no container has",
        "The Services have no endpoints.";
    UNDECLARED_PORT = "undeclared-port", Warning, "a target port that no container declares",
        "Declarations are not needed, so it may listen all the same; mostly it is a mistake.";
    REPLICAS_AND_AUTOSCALER = "replicas-and-autoscaler", Warning, "a workload with replicas and an autoscaler",
        "Each apply of the manifest sets the number back: it starts the idle target, and stops pods in the middle of a release.";
    AUTOSCALER_NOT_REFERENCED = "autoscaler-not-referenced", Warning, "a target whose autoscaler the Canary does not name",
        "The primary, which serves, gets none and keeps its number of pods.";
    AUTOSCALER_TARGET = "autoscaler-target", Error, "an autoscaler of another workload",
        "The primary gets a copy of it that scales the primary by the wrong rules.";
    AUTOSCALER_BOUNDS = "autoscaler-bounds", Error, "an autoscaler whose least number of pods is above the greatest",
        "The API server refuses it, or its copy for the primary.";
    LONG_NAME = "long-name", Error, "a name that becomes too long with -primary or -canary",
        "Names of Services have 63 characters at most.";

    // The analysis.
    DURATION = "duration", Warning, "a time between checks that cannot be read",
        "60s are used instead.";
    SHORT_INTERVAL = "short-interval", Warning, "checks more often than every 10s",
        "The controller waits 10s all the same.";
    THRESHOLD_ZERO = "threshold-zero", Warning, "a threshold of zero",
        "It counts as 1: the first failed round ends the release.";
    STUCK_WEIGHTS = "stuck-weights", Error, "steps that never reach the end",
        "The release stays where it is for ever.";
    OVERSHOOTING_WEIGHTS = "overshooting-weights", Warning, "a last step above maxWeight",
        "More traffic goes to the new revision than maxWeight says.";
    WEIGHT_RANGE = "weight-range", Warning, "a weight above 100 or below 0",
        "It is cut off there.";
    IGNORED_FIELD = "ignored-field", Warning, "a field that has no effect beside another",
        "What it says does not happen.";
    NO_CHECKS = "no-checks", Warning, "an analysis that checks nothing",
        "Every revision whose pods become ready is promoted.";
    METRIC_SOURCE = "metric-source", Error, "a metric that nobody can be asked for",
        "Every check of it fails, and the release is rolled back.";
    METRIC_NAME = "metric-name", Warning, "a metric with a template under the name of a built-in one",
        "Both are asked, and the bounds hold for both.";
    METRIC_BOUNDS = "metric-bounds", Error, "bounds that no value can keep",
        "Every check fails, and the release is rolled back.";
    METRIC_INTERVAL = "metric-interval", Error, "a window of a metric that cannot be read",
        "The query gets it as it is, and Prometheus refuses it.";
    METRIC_UNBOUNDED = "metric-unbounded", Warning, "a metric without bounds",
        "Either every value passes, or every value above zero fails.";
    METRIC_UNIT = "metric-unit", Warning, "a bound that looks like another unit",
        "request-success-rate is in percent, request-duration in milliseconds.";
    TEMPLATE_SYNTAX = "template-syntax", Error, "a query that is no Go template",
        "Every check of it fails, and the release is rolled back.";
    TEMPLATE_VARIABLE = "template-variable", Error, "a variable that the query needs and the Canary does not set",
        "Every check of it fails, and the release is rolled back.";
    UNUSED_VARIABLE = "unused-variable", Warning, "a variable that the query does not use",
        "Mostly it is misspelt.";
    METRIC_PROVIDER = "metric-provider", Error, "a metric source that cannot be asked as it is described",
        "Every check of it fails, and the release is rolled back.";
    HOOK_REQUEST = "hook-request", Error, "a hook with a URL or a timeout that cannot be used",
        "The hook fails each time; a gate stays closed for ever.";
    DUPLICATE_NAME = "duplicate-name", Warning, "two metrics, hooks or alerts of one name",
        "Events and status do not tell which of them is meant.";
    ALERT_ADDRESS = "alert-address", Error, "an AlertProvider without an address that can be used",
        "Alerts are not sent.";

    // The provider.
    PROVIDER_ABILITY = "provider-ability", Warning, "something that the provider cannot do",
        "The release runs without it.";
    MISSING_REFERENCE = "missing-reference", Error, "a reference that the provider needs and the Canary does not have",
        "No routes can be made.";
    INGRESS_BACKEND = "ingress-backend", Error, "an Ingress that does not lead to the Canary's service",
        "No canary Ingress can be made.";
    INGRESS_PORT = "ingress-port", Error, "an Ingress with another port than the Canary's service",
        "The Service does not have that port, and requests are answered with 503.";
    ISTIO_HEADER_CASE = "istio-header-case", Warning, "a header with capital letters in a match for Istio",
        "Istio wants names of headers in lower case; others never match.";
    ISTIO_REGEX = "istio-regex", Warning, "a regular expression with look-around for Istio",
        "Istio's expressions are RE2, which has none; the route is refused.";
    CANNOT_RENDER = "cannot-render", Error, "objects that cannot be made for another reason",
        "The controller emits the text as an event and tries again for ever.";
}
