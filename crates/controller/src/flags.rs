//! The command line of `flagger`: its flags, their defaults, the environment that overrides some of them, and what they come to.
//!
//! Pure: the environment is a function argument, and nothing is printed here. Flags of the reference that this program has no use for are accepted: it has
//! no scheduler tick (`control-loop-interval`), no worker pool (`threadiness`) and no logging library beside its own (`v`, `logtostderr` and so on).
//! Source: operations notes, sections 1.2 and 1.3.

use api::{GoDuration, Settings};
use program::goflag::{Field, Flag, Ignored};
use program::launch;

/// The version whose behaviour this program has, as `-version`, the metric `flagger_info` and the log name it.
pub const VERSION: &str = "1.44.0";

/// The commit this program was built from, if the build said so.
pub const REVISION: &str = match option_env!("FLAGGER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// What the command line says. Some of the texts are secrets: it cannot be printed as a whole.
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
pub struct Options {
    /// `-kubeconfig`: path; empty for none.
    pub kubeconfig: String,
    /// `-master`: URL of the API server; empty for none.
    pub master: String,
    /// `-kubeconfig-qps`: requests per second; 0 for the client's default, negative for no limit.
    pub kubeconfig_qps: i64,
    /// `-kubeconfig-burst`: requests at once; 0 for the client's default.
    pub kubeconfig_burst: i64,
    /// `-kubeconfig-service-mesh`: path; empty: as `kubeconfig`.
    pub kubeconfig_service_mesh: String,
    /// `-metrics-server`: base URL.
    pub metrics_server: String,
    /// `-control-loop-interval`.
    pub control_loop_interval: GoDuration,
    /// `-log-level`, as written.
    pub log_level: String,
    /// `-zap-encoding`, as written.
    pub zap_encoding: String,
    /// `-zap-replace-globals`: without effect.
    pub zap_replace_globals: bool,
    /// `-port`, as written.
    pub port: String,
    /// `-slack-url` (a secret).
    pub slack_url: String,
    /// `-slack-token` (a secret).
    pub slack_token: String,
    /// `-slack-proxy-url`.
    pub slack_proxy_url: String,
    /// `-slack-user`.
    pub slack_user: String,
    /// `-slack-channel`.
    pub slack_channel: String,
    /// `-msteams-url` (a secret).
    pub msteams_url: String,
    /// `-msteams-proxy-url`.
    pub msteams_proxy_url: String,
    /// `-event-webhook`.
    pub event_webhook: String,
    /// `-include-label-prefix`, comma-separated.
    pub include_label_prefix: String,
    /// `-selector-labels`, comma-separated.
    pub selector_labels: String,
    /// `-threadiness`: without effect.
    pub threadiness: i64,
    /// `-namespace`; empty for all.
    pub namespace: String,
    /// `-mesh-provider`.
    pub mesh_provider: String,
    /// `-ingress-annotations-prefix`.
    pub ingress_annotations_prefix: String,
    /// `-ingress-class`.
    pub ingress_class: String,
    /// `-enable-leader-election`.
    pub enable_leader_election: bool,
    /// `-leader-election-namespace`.
    pub leader_election_namespace: String,
    /// `-enable-config-tracking`.
    pub enable_config_tracking: bool,
    /// `-cluster-name`.
    pub cluster_name: String,
    /// `-no-cross-namespace-refs`.
    pub no_cross_namespace_refs: bool,
    /// `-kstatus-conditions`.
    pub kstatus_conditions: bool,
    /// `-version`.
    pub version: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kubeconfig: String::new(),
            master: String::new(),
            kubeconfig_qps: 100,
            kubeconfig_burst: 250,
            kubeconfig_service_mesh: String::new(),
            metrics_server: "http://prometheus:9090".to_owned(),
            control_loop_interval: GoDuration::from_secs(10),
            log_level: "debug".to_owned(),
            zap_encoding: "json".to_owned(),
            zap_replace_globals: false,
            port: "8080".to_owned(),
            slack_url: String::new(),
            slack_token: String::new(),
            slack_proxy_url: String::new(),
            slack_user: "flagger".to_owned(),
            slack_channel: String::new(),
            msteams_url: String::new(),
            msteams_proxy_url: String::new(),
            event_webhook: String::new(),
            include_label_prefix: String::new(),
            selector_labels: "app,name,app.kubernetes.io/name".to_owned(),
            threadiness: 2,
            namespace: String::new(),
            mesh_provider: "istio".to_owned(),
            ingress_annotations_prefix: "nginx.ingress.kubernetes.io".to_owned(),
            ingress_class: String::new(),
            enable_leader_election: false,
            leader_election_namespace: "kube-system".to_owned(),
            enable_config_tracking: true,
            cluster_name: String::new(),
            no_cross_namespace_refs: false,
            kstatus_conditions: true,
            version: false,
        }
    }
}

const fn text(name: &'static str, field: fn(&mut Options) -> &mut String, help: &'static str) -> Flag<Options> {
    Flag { name, field: Field::Text(field), help }
}

const fn switch(name: &'static str, field: fn(&mut Options) -> &mut bool, help: &'static str) -> Flag<Options> {
    Flag { name, field: Field::Bool(field), help }
}

const fn number(name: &'static str, field: fn(&mut Options) -> &mut i64, help: &'static str) -> Flag<Options> {
    Flag { name, field: Field::Int(field), help }
}

const fn ignored(name: &'static str, kind: Ignored) -> Flag<Options> {
    Flag { name, field: Field::Ignored(kind), help: "Accepted for compatibility, without effect." }
}

/// Every flag; the usage text sorts them.
pub static FLAGS: &[Flag<Options>] = &[
    text("kubeconfig", |o| &mut o.kubeconfig, "Path to a kubeconfig. Empty: the service account of the pod."),
    text("master", |o| &mut o.master, "URL of the Kubernetes API server, instead of the kubeconfig's."),
    number(
        "kubeconfig-qps",
        |o| &mut o.kubeconfig_qps,
        "Requests per second to the Kubernetes API; negative: no limit.",
    ),
    number("kubeconfig-burst", |o| &mut o.kubeconfig_burst, "Requests at once to the Kubernetes API."),
    text(
        "kubeconfig-service-mesh",
        |o| &mut o.kubeconfig_service_mesh,
        "Path to a kubeconfig of the cluster that holds the routing objects. Empty: the same cluster.",
    ),
    text("metrics-server", |o| &mut o.metrics_server, "URL of the Prometheus server that the built-in checks ask."),
    Flag {
        name: "control-loop-interval",
        field: Field::Duration(|o| &mut o.control_loop_interval),
        help: "Accepted for compatibility: Canaries are looked at when something changes.",
    },
    text("log-level", |o| &mut o.log_level, "Log level: debug, info, warn, error."),
    text("zap-encoding", |o| &mut o.zap_encoding, "Log encoding: json or console."),
    switch("zap-replace-globals", |o| &mut o.zap_replace_globals, "Accepted for compatibility, without effect."),
    text("port", |o| &mut o.port, "Port of the HTTP server."),
    text("slack-url", |o| &mut o.slack_url, "Slack hook URL (environment: SLACK_URL)."),
    text("slack-token", |o| &mut o.slack_token, "Slack bot token (environment: SLACK_TOKEN)."),
    text("slack-proxy-url", |o| &mut o.slack_proxy_url, "HTTP proxy for Slack (environment: SLACK_PROXY_URL)."),
    text("slack-user", |o| &mut o.slack_user, "Slack user name."),
    text("slack-channel", |o| &mut o.slack_channel, "Slack channel."),
    text("msteams-url", |o| &mut o.msteams_url, "MS Teams webhook URL; replaces Slack (environment: MSTEAMS_URL)."),
    text(
        "msteams-proxy-url",
        |o| &mut o.msteams_proxy_url,
        "HTTP proxy for MS Teams (environment: MSTEAMS_PROXY_URL).",
    ),
    text("event-webhook", |o| &mut o.event_webhook, "URL that receives every event (environment: EVENT_WEBHOOK_URL)."),
    text(
        "include-label-prefix",
        |o| &mut o.include_label_prefix,
        "Prefixes of labels and annotations that are copied to primaries, comma-separated; * for all.",
    ),
    text(
        "selector-labels",
        |o| &mut o.selector_labels,
        "Pod selector labels, comma-separated; the first present wins.",
    ),
    number("threadiness", |o| &mut o.threadiness, "Accepted for compatibility, without effect."),
    text("namespace", |o| &mut o.namespace, "The one namespace to watch. Empty: all namespaces."),
    text("mesh-provider", |o| &mut o.mesh_provider, "Routing provider of Canaries that name none."),
    text("ingress-annotations-prefix", |o| &mut o.ingress_annotations_prefix, "Annotation prefix of NGINX ingresses."),
    text("ingress-class", |o| &mut o.ingress_class, "Ingress class of generated HTTPProxy objects."),
    switch("enable-leader-election", |o| &mut o.enable_leader_election, "Only one of several replicas acts."),
    text(
        "leader-election-namespace",
        |o| &mut o.leader_election_namespace,
        "Namespace of the lease, unless -namespace is set.",
    ),
    switch(
        "enable-config-tracking",
        |o| &mut o.enable_config_tracking,
        "Track and copy ConfigMaps and Secrets of targets.",
    ),
    text("cluster-name", |o| &mut o.cluster_name, "Name of the cluster, shown in alerts."),
    switch(
        "no-cross-namespace-refs",
        |o| &mut o.no_cross_namespace_refs,
        "Refuse Canaries that refer to objects of other namespaces.",
    ),
    switch(
        "kstatus-conditions",
        |o| &mut o.kstatus_conditions,
        "Conditions Ready, Reconciling and Stalled beside Promoted; false leaves exactly the status of earlier versions.",
    ),
    switch("version", |o| &mut o.version, "Print the version and exit."),
    ignored("v", Ignored::Level),
    ignored("vmodule", Ignored::Custom),
    ignored("logtostderr", Ignored::Bool("true")),
    ignored("alsologtostderr", Ignored::Bool("")),
    ignored("alsologtostderrthreshold", Ignored::Severity("")),
    ignored("legacy_stderr_threshold_behavior", Ignored::Bool("true")),
    ignored("stderrthreshold", Ignored::Severity("2")),
    ignored("log_dir", Ignored::Text),
    ignored("log_file", Ignored::Text),
    ignored("log_file_max_size", Ignored::Uint("1800")),
    ignored("log_backtrace_at", Ignored::Custom),
    ignored("add_dir_header", Ignored::Bool("")),
    ignored("skip_headers", Ignored::Bool("")),
    ignored("skip_log_headers", Ignored::Bool("")),
    ignored("one_output", Ignored::Bool("")),
];

/// What to do after the command line was read.
pub type Start = launch::Start<Options>;

/// Reads the command line. `environment` gives the value of a variable.
pub fn read(program: &str, arguments: &[String], environment: impl Fn(&str) -> Option<String>) -> Start {
    let (mut options, ignored) = match launch::read(program, arguments, FLAGS) {
        Start::Run { options, ignored } => (options, ignored),
        other => return other,
    };
    if options.version {
        return Start::Print(format!("Flagger version {VERSION} revision  {REVISION}\n"));
    }
    if options.control_loop_interval <= GoDuration::ZERO {
        let text = format!("control-loop-interval must be positive, got {}\n", options.control_loop_interval);
        return Start::Leave { text, code: 2 };
    }
    options.override_by(environment);
    Start::Run { options, ignored }
}

impl Options {
    /// The environment beats flags; empty variables do not count.
    fn override_by(&mut self, environment: impl Fn(&str) -> Option<String>) {
        for (variable, field) in [
            ("SLACK_URL", &mut self.slack_url),
            ("SLACK_TOKEN", &mut self.slack_token),
            ("SLACK_PROXY_URL", &mut self.slack_proxy_url),
            ("MSTEAMS_URL", &mut self.msteams_url),
            ("MSTEAMS_PROXY_URL", &mut self.msteams_proxy_url),
            ("EVENT_WEBHOOK_URL", &mut self.event_webhook),
        ] {
            if let Some(value) = environment(variable).filter(|value| !value.is_empty()) {
                *field = value;
            }
        }
    }

    /// What concerns Canaries. `own_routes`: mesh and workloads live on one API server.
    pub fn settings(&self, own_routes: bool) -> Settings {
        Settings {
            mesh_provider: self.mesh_provider.clone(),
            selector_labels: list(&self.selector_labels),
            include_label_prefixes: list(&self.include_label_prefix),
            config_tracking: self.enable_config_tracking,
            ingress_annotations_prefix: self.ingress_annotations_prefix.clone(),
            ingress_class: self.ingress_class.clone(),
            no_cross_namespace_refs: self.no_cross_namespace_refs,
            own_routes,
            metrics_server: self.metrics_server.clone(),
            cluster_name: self.cluster_name.clone(),
            kstatus_conditions: self.kstatus_conditions,
        }
    }

    /// Where the Lease is.
    pub fn lease_namespace(&self) -> &str {
        if self.namespace.is_empty() { &self.leader_election_namespace } else { &self.namespace }
    }

    /// The kubeconfig of the cluster that holds the routing objects.
    pub fn mesh_kubeconfig(&self) -> &str {
        if self.kubeconfig_service_mesh.is_empty() { &self.kubeconfig } else { &self.kubeconfig_service_mesh }
    }
}

/// The items of a comma-separated list, trimmed, without empty ones.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Start {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        read("flagger", &arguments, |name| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn options(arguments: &[&str], environment: &[(&str, &str)]) -> Options {
        match start(arguments, environment) {
            Start::Run { options, .. } => *options,
            Start::Print(text) | Start::Leave { text, .. } => panic!("{text}"),
        }
    }

    fn leaves(arguments: &[&str]) -> (String, u8) {
        match start(arguments, &[]) {
            Start::Leave { text, code } => (text, code),
            _ => panic!("{arguments:?} is accepted"),
        }
    }

    #[test]
    fn defaults_are_those_of_existing_manifests() {
        let options = options(&[], &[]);
        assert_eq!(options.settings(true), Settings::default());
        assert_eq!((options.kubeconfig_qps, options.kubeconfig_burst), (100, 250));
        assert_eq!((options.port.as_str(), options.log_level.as_str()), ("8080", "debug"));
        assert_eq!(options.lease_namespace(), "kube-system");
        assert!(!options.enable_leader_election);
    }

    #[test]
    fn version_is_printed_before_anything_else() {
        let Start::Print(text) = start(&["-control-loop-interval=0", "-version"], &[]) else { panic!("it goes on") };
        assert_eq!(text, "Flagger version 1.44.0 revision  unknown\n");
    }

    #[test]
    fn mistakes_leave_with_2_and_help_with_0() {
        let (text, code) = leaves(&["-nope"]);
        assert!(
            text.starts_with("flag provided but not defined: -nope\nUsage of flagger:\n  -add_dir_header\n"),
            "{text}"
        );
        assert_eq!(code, 2);
        let (text, code) = leaves(&["--help"]);
        assert!(text.starts_with("Usage of flagger:\n"), "{text}");
        assert_eq!(code, 0);
    }

    #[test]
    fn a_loop_interval_that_is_not_positive_is_told_not_a_crash() {
        for (value, shown) in [("0", "0s"), ("0s", "0s"), ("-1m", "-1m0s")] {
            let told = leaves(&[&format!("-control-loop-interval={value}")]);
            assert_eq!(told, (format!("control-loop-interval must be positive, got {shown}\n"), 2));
        }
    }

    #[test]
    fn usage_shows_kinds_and_defaults() {
        let (usage, _) = leaves(&["-h"]);
        for line in [
            "  -control-loop-interval duration\n",
            " (default 10s)\n",
            "  -kubeconfig-qps int\n",
            "  -enable-leader-election\n    \tOnly one of several replicas acts.\n",
            "  -log-level string\n    \tLog level: debug, info, warn, error. (default \"debug\")\n",
            "  -stderrthreshold value\n    \tAccepted for compatibility, without effect. (default 2)\n",
            "  -log_file_max_size uint\n",
        ] {
            assert!(usage.contains(line), "{line:?} is missing in {usage}");
        }
    }

    #[test]
    fn every_flag_of_the_reference_is_accepted_once() {
        let expected = "kubeconfig master kubeconfig-qps kubeconfig-burst kubeconfig-service-mesh metrics-server \
            control-loop-interval log-level zap-encoding zap-replace-globals port slack-url slack-token slack-proxy-url \
            slack-user slack-channel msteams-url msteams-proxy-url event-webhook include-label-prefix selector-labels \
            threadiness namespace mesh-provider ingress-annotations-prefix ingress-class enable-leader-election \
            leader-election-namespace enable-config-tracking cluster-name no-cross-namespace-refs version v vmodule \
            logtostderr alsologtostderr alsologtostderrthreshold legacy_stderr_threshold_behavior stderrthreshold log_dir \
            log_file log_file_max_size log_backtrace_at add_dir_header skip_headers skip_log_headers one_output \
            kstatus-conditions";
        let expected: BTreeSet<&str> = expected.split_whitespace().collect();
        let known: BTreeSet<&str> = FLAGS.iter().map(|flag| flag.name).collect();
        assert_eq!(known, expected);
        assert_eq!(known.len(), FLAGS.len());
    }

    #[test]
    fn every_flag_fills_its_own_field() {
        for flag in FLAGS {
            let mut options = Options::default();
            // Written through one flag, a field must be read back through that flag and no other.
            match &flag.field {
                Field::Text(field) => *field(&mut options) = "mine".to_owned(),
                Field::Bool(field) => *field(&mut options) ^= true,
                Field::Int(field) => *field(&mut options) = 4711,
                Field::Duration(field) => *field(&mut options) = GoDuration::from_secs(4711),
                Field::Ignored(_) => continue,
            }
            let changed = FLAGS.iter().filter(|other| match &other.field {
                Field::Text(field) => *field(&mut options) != *field(&mut Options::default()),
                Field::Bool(field) => *field(&mut options) != *field(&mut Options::default()),
                Field::Int(field) => *field(&mut options) != *field(&mut Options::default()),
                Field::Duration(field) => *field(&mut options) != *field(&mut Options::default()),
                Field::Ignored(_) => false,
            });
            assert_eq!(changed.map(|other| other.name).collect::<Vec<_>>(), [flag.name]);
        }
    }

    #[test]
    fn the_environment_beats_flags_unless_empty() {
        let flags = ["-slack-url=flag", "-slack-token=flag", "-msteams-url=flag", "-event-webhook=flag"];
        let environment = [
            ("SLACK_URL", "env"),
            ("SLACK_TOKEN", ""),
            ("SLACK_PROXY_URL", "env"),
            ("MSTEAMS_URL", "env"),
            ("MSTEAMS_PROXY_URL", "env"),
            ("EVENT_WEBHOOK_URL", "env"),
            ("SLACK_USER", "env"),
            ("KUBECONFIG", "env"),
        ];
        let options = options(&flags, &environment);
        assert_eq!(options.slack_url, "env");
        assert_eq!(options.slack_token, "flag");
        assert_eq!(options.slack_proxy_url, "env");
        assert_eq!(options.msteams_url, "env");
        assert_eq!(options.msteams_proxy_url, "env");
        assert_eq!(options.event_webhook, "env");
        assert_eq!(options.slack_user, "flagger");
        assert_eq!(options.kubeconfig, "");
    }

    #[test]
    fn lists_are_trimmed() {
        let options = options(&["-selector-labels= app , name,", "-include-label-prefix=,"], &[]);
        let settings = options.settings(true);
        assert_eq!(settings.selector_labels, ["app", "name"]);
        assert!(settings.include_label_prefixes.is_empty());
    }

    #[test]
    fn the_watched_namespace_holds_the_lease() {
        assert_eq!(options(&["-namespace=shop", "-leader-election-namespace=other"], &[]).lease_namespace(), "shop");
        assert_eq!(options(&["-leader-election-namespace=other"], &[]).lease_namespace(), "other");
    }

    #[test]
    fn leftovers_are_kept_for_a_warning() {
        let Start::Run { options, ignored } = start(&["-enable-leader-election", "false", "-port=1"], &[]) else {
            panic!("it ends")
        };
        assert!(options.enable_leader_election);
        assert_eq!(options.port, "8080");
        assert_eq!(ignored, ["false", "-port=1"]);
    }
}
