//! `kubectl-flagger rehearse` as a user runs it: a process, manifests in files, what it prints and how it ends.
//!
//! All on simulated time. The manifests are in `tests/rehearse`; each test changes a word of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "tests")]

use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const SHOP: &str = include_str!("rehearse/shop.yaml");
const CANARY: &str = include_str!("rehearse/canary.yaml");

/// A folder of a test, gone with it.
struct Folder(PathBuf);

impl Folder {
    /// `app/shop.yaml` and `app/canary.yaml`, and whatever else.
    fn new(shop: &str, canary: &str, others: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rehearse-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("app")).unwrap();
        for (name, content) in [("app/shop.yaml", shop), ("app/canary.yaml", canary)].iter().chain(others) {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if !content.is_empty() {
                fs::write(file, content).unwrap();
            }
        }
        Self(path)
    }

    fn rehearse(&self, arguments: &[&str]) -> Outcome {
        run(&self.0, arguments, "", None)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn ends(&self, code: i32, sentence: &str) -> &Self {
        assert_eq!((self.code, self.out.lines().last()), (code, Some(sentence)), "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn says(&self, line: &str) -> &Self {
        assert!(self.out.lines().any(|other| other.trim() == line), "{line}\nis not in\n{}", self.out);
        self
    }
}

fn run(folder: &Path, arguments: &[&str], input: &str, path: Option<&Path>) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flagger"));
    command.arg("rehearse").args(arguments).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// A rehearsal of the shop.
fn shop(arguments: &[&str]) -> Outcome {
    Folder::new(SHOP, CANARY, &[]).rehearse(&[&["-f", "app"], arguments].concat())
}

/// A rehearsal of the shop with another Canary.
fn with(change: (&str, &str), arguments: &[&str]) -> Outcome {
    assert!(CANARY.contains(change.0), "{}", change.0);
    let canary = CANARY.replacen(change.0, change.1, 1);
    Folder::new(SHOP, &canary, &[]).rehearse(&[&["-f", "app"], arguments].concat())
}

#[test]
fn a_good_release_is_promoted() {
    let outcome = shop(&[]);
    outcome.ends(
        0,
        "cart.shop is promoted after 01:45 (4 measurements): registry.example/cart:rehearsal serves all users.",
    );
    for line in [
        "release   web: registry.example/cart:1.4.2 -> registry.example/cart:rehearsal",
        "metric    latency passes at 500 or less; prometheus http://metrics:9090",
        r#"histogram_quantile(0.95, app_seconds{app="cart"})"#,
        "+00:05  event    Initialization done! cart.shop",
        "+00:05  hook     smoke (pre-rollout) http://tests.shop/smoke answers 200",
        "+00:05  traffic  8,000 to cart-primary, 2,000 to cart",
        "+00:35  metric   latency = 250, passes",
        "+00:35  traffic  6,000 to cart-primary, 4,000 to cart",
        "+01:45  phase    Succeeded",
        "ConfigMap cart-primary.shop made as a copy of cart",
        "+            name: cart-primary",
        "-        image: registry.example/cart:1.4.2",
        "+        image: registry.example/cart:rehearsal",
        "Service cart-canary.shop made",
    ] {
        outcome.says(line);
    }
    assert!(!outcome.out.contains("Warnings"), "{}", outcome.out);
}

#[test]
fn a_bad_metric_rolls_back() {
    let outcome = shop(&["--metric", "latency=30s:300,1h:900", "--set-image", "web=registry.example/cart:2.0"]);
    outcome.ends(1, "cart.shop is rolled back after 01:05, registry.example/cart:1.4.2 serves all users: Halt cart.shop advancement latency 900.00 > 500");
    outcome.says("+00:35  metric   latency = 900, fails").says("+01:05  traffic  10,000 to cart-primary");
    // By the template's name, one value for each check, and no data at all.
    shop(&["--metric", "p95=900,900"]).ends(1, "cart.shop is rolled back after 01:05, registry.example/cart:1.4.2 serves all users: Halt cart.shop advancement latency 900.00 > 500");
    let outcome = shop(&["--metric", "request-success-rate=100,none"]);
    outcome.says("+01:05  metric   request-success-rate = no value, fails");
    assert_eq!(outcome.code, 1);
}

#[test]
fn a_hook_stops_or_delays() {
    let outcome = shop(&["--hook", "smoke=500"]);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    outcome.says("+00:05  hook     smoke (pre-rollout) http://tests.shop/smoke answers 500");
    assert!(outcome.out.contains("cart.shop is rolled back after "), "{}", outcome.out);
    let outcome = shop(&["--hook", "smoke=500,200"]);
    outcome.ends(
        0,
        "cart.shop is promoted after 02:15 (4 measurements): registry.example/cart:rehearsal serves all users.",
    );
}

#[test]
fn a_gate_that_stays_closed_is_waited_for_as_long_as_told() {
    let gate = ("type: pre-rollout", "type: confirm-rollout");
    let outcome = with(gate, &["--hook", "smoke=403", "--until", "20m"]);
    outcome.ends(1, "cart.shop has not ended after 20:00, it is Waiting since 00:00: Halt cart.shop advancement waiting for approval smoke");
    // What repeats itself is told once.
    outcome.says("+20:00  ... the same 38 more times, until now");
    assert_eq!(with(gate, &["--hook", "smoke=600s:403,1s:200"]).code, 0);
}

#[test]
fn a_rollback_hook_says_no_unless_told_otherwise() {
    let hook = ("type: pre-rollout", "type: rollback");
    assert_eq!(with(hook, &[]).code, 0);
    with(hook, &["--hook", "smoke=403,200"]).ends(
        1,
        "cart.shop is rolled back after 00:35, registry.example/cart:1.4.2 serves all users: Rollback check smoke passed",
    );
}

#[test]
fn pods_that_never_become_ready_roll_back() {
    let outcome = shop(&["--never-ready"]);
    outcome.ends(1, "cart.shop is rolled back after 01:30, registry.example/cart:1.4.2 serves all users: canary deployment cart.shop not ready: waiting for rollout to finish: 0 of 2 (readyThreshold 100%) updated replicas are available");
    let traffic: Vec<&str> = outcome.out.lines().filter(|line| line.contains("traffic  ")).collect();
    assert!(traffic.iter().all(|line| !line.ends_with(" to cart")), "{traffic:?}");
}

#[test]
fn pods_take_as_long_as_told() {
    shop(&["--ready-after", "50s"]).says("+00:50  traffic  8,000 to cart-primary, 2,000 to cart");
}

#[test]
fn without_a_release_it_ends_when_the_primary_serves() {
    let outcome = shop(&["--initialize-only"]);
    outcome.ends(0, "cart.shop is initialised after 00:05: the primary serves all users.");
    assert!(!outcome.out.contains("Release\n"), "{}", outcome.out);
}

#[test]
fn a_user_of_an_ab_test_is_shown() {
    let steps = "stepWeight: 20\n    maxWeight: 40";
    let matches = "iterations: 2\n    match:\n    - headers: {user-agent: {regex: '.*Firefox.*'}}\n    - headers: {cookie: {regex: '^(.*?;)?(beta=yes)(;.*)?$'}}";
    let outcome = with((steps, matches), &[]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    outcome.says("GET / with user-agent: Firefox -> cart").says("GET / with cookie: beta=yes -> cart");
    outcome.says("GET / with cookie: beta=yes -> cart-primary");
}

#[test]
fn mirrored_requests_are_counted_apart() {
    let outcome = with(("maxWeight: 40", "maxWeight: 40\n    mirror: true"), &[]);
    outcome.says("+00:05  traffic  10,000 to cart-primary, copies of 10,000 to cart");
    outcome.says("+00:35  traffic  8,000 to cart-primary, 2,000 to cart");
}

#[test]
fn canaries_that_ask_the_same_are_answered_in_turns() {
    let (shop, canary) =
        (SHOP.replace("namespace: shop", "namespace: prod"), CANARY.replace("namespace: shop", "namespace: prod"));
    let folder = Folder::new(SHOP, CANARY, &[("prod/all.yaml", &format!("{shop}---\n{canary}"))]);
    let outcome = folder.rehearse(&["-f", "app", "-f", "prod", "--metric", "latency=100,900,900"]);
    assert_eq!(outcome.code, 1, "{}{}", outcome.out, outcome.err);
    for namespace in ["shop", "prod"] {
        outcome.says(&format!("cart.{namespace} is rolled back after 01:35, registry.example/cart:1.4.2 serves all users: Halt cart.{namespace} advancement latency 900.00 > 500"));
    }
}

#[test]
fn the_json_has_the_documented_shape() {
    let outcome = shop(&["-o", "json", "--metric", "latency=900"]);
    let report = outcome.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(outcome.code, 1);
    assert_eq!(keys(&report), ["schemaVersion", "outcome", "canaries", "timeline", "changes", "warnings"]);
    assert_eq!((&report["schemaVersion"], &report["outcome"]), (&1.into(), &"rolledBack".into()));
    let canary = &report["canaries"][0];
    assert_eq!(
        keys(canary),
        [
            "name",
            "namespace",
            "provider",
            "strategy",
            "target",
            "images",
            "outcome",
            "seconds",
            "sentence",
            "metrics",
            "hooks"
        ]
    );
    assert_eq!(keys(&canary["images"][0]), ["container", "old", "new"]);
    assert_eq!(keys(&canary["metrics"][0]), ["metric", "provider", "address", "query", "passes"]);
    assert_eq!(keys(&canary["hooks"][0]), ["name", "type", "url"]);
    let of_kind = |kind: &str| {
        report["timeline"].as_array().unwrap().iter().find(|entry| entry["kind"] == kind).cloned().unwrap()
    };
    let common = ["part", "atSeconds", "canary", "kind"];
    for (kind, own) in [
        ("event", vec!["type", "message"]),
        ("phase", vec!["phase"]),
        ("hook", vec!["name", "type", "url", "status"]),
        ("metric", vec!["name", "value", "passed"]),
        ("probe", vec!["address"]),
        ("traffic", vec!["served", "copies", "lost", "lostBecause", "examples"]),
    ] {
        assert_eq!(keys(&of_kind(kind)), [common.to_vec(), own].concat());
    }
    let moments: Vec<&Value> = report["changes"].as_array().unwrap().iter().map(|one| &one["moment"]).collect();
    assert_eq!(moments, ["initialised", "firstStep", "end"]);
    assert_eq!(keys(&report["changes"][0]["objects"][0]), ["kind", "namespace", "name", "action", "copyOf", "diff"]);
}

#[test]
fn the_same_input_has_the_same_output() {
    let folder = Folder::new(SHOP, CANARY, &[]);
    let outputs: Vec<String> = (0..3).map(|_| folder.rehearse(&["-f", "app", "-o", "json"]).out).collect();
    assert!(outputs.iter().all(|output| *output == outputs[0]));
}

#[test]
fn standard_input_and_json_are_read() {
    let folder = Folder::new(SHOP, CANARY, &[]);
    assert_eq!(run(&folder.0, &["-f", "-"], &format!("{SHOP}---\n{CANARY}"), None).code, 0);
    let list = "{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {\"name\": \"other\"}}]}";
    let folder = Folder::new(SHOP, CANARY, &[("more/list.json", list)]);
    assert_eq!(folder.rehearse(&["-f", "app", "-f", "more/list.json"]).code, 0);
    let outcome = run(&folder.0, &["-f", "-", "-f", "app/canary.yaml"], "kind: Pod\n", None);
    assert_eq!(outcome.code, 2);
    assert!(outcome.err.starts_with("<stdin>:1: apiVersion: "), "{}", outcome.err);
}

#[test]
fn secrets_are_not_shown() {
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: cart, namespace: shop}\nstringData: {password: swordfish}\n";
    let shop = SHOP.replace("configMapRef: {name: cart}", "secretRef: {name: cart}");
    let folder = Folder::new(&shop, CANARY, &[("app/secret.yaml", secret)]);
    for format in ["text", "json"] {
        let outcome = folder.rehearse(&["-f", "app", "-o", format]);
        assert_eq!(outcome.code, 0, "{}", outcome.err);
        assert!(outcome.out.contains("(hidden)"), "{}", outcome.out);
        for hidden in ["swordfish", "c3dvcmRmaXNo"] {
            assert!(!outcome.out.contains(hidden), "{}", outcome.out);
        }
    }
}

#[test]
fn kinds_that_nobody_knows_are_taken_as_they_are() {
    let others = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: x, namespace: flux}\nspec: {anything: goes}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: other, namespace: shop}\nspec: {minAvailable: 1, selector: {matchLabels: {app: other}}}\n---\napiVersion: cert-manager.io/v1\nkind: ClusterIssuer\nmetadata: {name: letters}\n";
    let outcome = Folder::new(SHOP, CANARY, &[("app/others.yaml", others)]).rehearse(&["-f", "app"]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    assert!(
        outcome.out.contains("HelmRelease (helm.toolkit.fluxcd.io)")
            && outcome.out.contains("ClusterIssuer (cert-manager.io)"),
        "{}",
        outcome.out
    );
}

#[test]
fn several_canaries_are_rehearsed_side_by_side_or_one_of_them() {
    let (shop, canary) = (SHOP.replace("cart", "mail"), CANARY.replace("cart", "mail"));
    let canary = canary.split("---").next().unwrap().to_owned();
    let folder = Folder::new(SHOP, CANARY, &[("app/mail.yaml", &format!("{shop}---\n{canary}"))]);
    let outcome = folder.rehearse(&["-f", "app"]);
    assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
    for name in ["cart", "mail"] {
        outcome.says(&format!(
            "{name}.shop is promoted after 01:45 (4 measurements): registry.example/{name}:rehearsal serves all users."
        ));
    }
    let outcome = folder.rehearse(&["-f", "app", "--canary", "mail"]);
    assert!(!outcome.out.contains("cart.shop is") && outcome.out.contains("mail.shop is promoted"), "{}", outcome.out);
    let outcome = folder.rehearse(&["-f", "app", "--set-image", "x:2"]);
    assert_eq!(
        outcome.err,
        "--set-image: there are several Canaries, and one image; choose one with --canary NAME, or write --set-image CONTAINER=IMAGE\n"
    );
}

#[test]
fn objects_without_namespace_are_in_the_one_that_is_given() {
    let strip = |text: &str| text.replace("  namespace: shop\n", "").replace(", namespace: shop", "");
    let folder = Folder::new(&strip(SHOP), &strip(CANARY), &[]);
    assert!(folder.rehearse(&["-f", "app", "-n", "market"]).out.contains("cart.market is promoted"));
}

#[test]
fn kustomizations_are_built_by_kubectl() {
    let kustomization = "resources: [shop.yaml, canary.yaml]\n";
    let folder = Folder::new(SHOP, CANARY, &[("app/kustomization.yaml", kustomization), ("bin/none", "")]);
    let outcome = run(&folder.0, &["-f", "app"], "", Some(&folder.0.join("bin")));
    assert_eq!(outcome.code, 2, "{outcome:?}");
    let (start, end) = (
        "app: there is a kustomization in this folder, and kubectl, which builds it, cannot be started: ",
        "; install kubectl, or build it elsewhere: kustomize build app | kubectl-flagger COMMAND -f -\n",
    );
    assert!(outcome.err.starts_with(start) && outcome.err.ends_with(end), "{}", outcome.err);

    // A kubectl that knows but this.
    let kubectl = folder.0.join("bin/kubectl");
    fs::write(
        &kubectl,
        "#!/bin/sh\n[ \"$1 $2\" = 'kustomize app' ] || exit 1\ncat app/shop.yaml\necho ---\ncat app/canary.yaml\n",
    )
    .unwrap();
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.0.join("bin").display());
    assert_eq!(run(&folder.0, &["-f", "app"], "", Some(Path::new(&path))).code, 0);
    fs::write(&kubectl, "#!/bin/sh\necho 'error: no such base' >&2\nexit 1\n").unwrap();
    let outcome = run(&folder.0, &["-f", "app"], "", Some(Path::new(&path)));
    assert_eq!(outcome.err, "app: kubectl kustomize refuses it: no such base; mend the kustomization\n");
}

/// A word of the manifests that is changed, and what is said then.
struct Broken {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    said: &'static str,
}

const BROKEN: &[Broken] = &[
    Broken {
        file: "canary",
        from: "    interval: 30s",
        to: "\tinterval: 30s",
        said: "app/canary.yaml:17:2: this is no YAML: tabs disallowed within this context (block indentation); indent with spaces: YAML knows no tabs",
    },
    Broken {
        file: "canary",
        from: "threshold: 2",
        to: "threshold: 2\n    threshold: 3",
        said: "app/canary.yaml:19:5: the key `threshold` stands here and in line 18; only one of them would count; take the other away",
    },
    Broken {
        file: "canary",
        from: "threshold: 2",
        to: "threshold: \"2\"",
        said: "app/canary.yaml:18: spec.analysis.threshold: is a text, but must be a number; write it without quotes: 2 [schema]",
    },
    Broken {
        file: "canary",
        from: "maxWeight",
        to: "maxWieght",
        said: "app/canary.yaml:20: spec.analysis.maxWieght: `spec.analysis` has no field `maxWieght`; did you mean maxWeight? [unknown-field]",
    },
    Broken {
        file: "canary",
        from: "flagger.app/v1beta1",
        to: "flagger.app/v1",
        said: "app/canary.yaml:1: apiVersion: flagger.app/v1 is not served; write flagger.app/v1beta1 [api-version]",
    },
    Broken {
        file: "canary",
        from: "    name: cart",
        to: "    name: kart",
        said: "app/canary.yaml:12: spec.targetRef.name: there is no Deployment kart among the manifests; did you mean cart? [missing-target]",
    },
    Broken {
        file: "canary",
        from: "templateRef: {name: p95}",
        to: "templateRef: {name: p99}",
        said: "app/canary.yaml:26: spec.analysis.metrics[1].templateRef.name: there is no MetricTemplate p99 in the namespace shop among the manifests; did you mean p95? [missing-template]",
    },
    Broken {
        file: "canary",
        from: "{{ target }}",
        to: "{{ target }",
        said: "app/canary.yaml:39: spec.query: line 1 of the query: unexpected \"}\" in operand; correct the template, see https://pkg.go.dev/text/template [template-syntax]",
    },
    Broken {
        file: "canary",
        from: "http://tests.shop/smoke",
        to: "tests.shop/smoke",
        said: "app/canary.yaml:31: spec.analysis.webhooks[0].url: is neither http:// nor https://; write it like http://service.namespace/path [hook-request]",
    },
    Broken {
        file: "canary",
        from: "targetPort: 8080",
        to: "targetPort: http",
        said: "app/canary.yaml:15: spec.service.targetPort: no container of Deployment cart has a port named http; there is 8080 [target-port]",
    },
    Broken {
        file: "canary",
        from: "provider: istio",
        to: "provider: traefik",
        said: "app/canary.yaml:7: spec.provider: provider traefik is not supported by this version, nothing would be changed; docs/providers.md says what there is [unsupported]",
    },
    Broken {
        file: "canary",
        from: "kind: Canary",
        to: "kind: Note",
        said: "app/canary.yaml:2: kind: there is no kind Note; there is Canary, MetricTemplate and AlertProvider [api-version]",
    },
    Broken {
        file: "shop",
        from: "configMapRef: {name: cart}",
        to: "configMapRef: {name: carts}",
        said: "app/shop.yaml:18: spec.template.spec.containers[0].envFrom[0].configMapRef.name: there is no ConfigMap carts in the namespace shop among the manifests; did you mean cart? [missing-config]",
    },
    Broken {
        file: "shop",
        from: "replicas: 2",
        to: "replicas: two",
        said: "app/shop.yaml:7: spec.replicas: Deployment cart cannot be read: invalid type: string \"two\", expected a number; correct the value",
    },
    Broken {
        file: "shop",
        from: "replicas: 2",
        to: "replicaz: 2",
        said: "app/shop.yaml:7: spec.replicaz: a Deployment has no such field; check the spelling and the indentation: kubectl refuses it",
    },
    Broken {
        file: "shop",
        from: "containerPort: 8080",
        to: "containerPort: 80800",
        said: "app/shop.yaml:17: spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 80800: must be between 1 and 65535, inclusive; correct the value",
    },
    Broken {
        file: "shop",
        from: "matchLabels: {app: cart}",
        to: "matchLabels: {app: shop}",
        said: "app/shop.yaml:9: spec.selector.matchLabels[app]: wants app: shop, but the pods have app: cart; give the pods the same labels (spec.template.metadata) [selector-mismatch]",
    },
    Broken {
        file: "shop",
        from: "kind: ConfigMap",
        to: "knd: ConfigMap",
        said: "app/shop.yaml:20: kind: is missing or no text; write for example `kind: Deployment`",
    },
    Broken {
        file: "shop",
        from: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart",
        to: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart",
        said: "app/shop.yaml:20: Deployment cart is already defined in app/shop.yaml:1; take one of the two away, or name only the folder that is to be used (such as one overlay)",
    },
    Broken {
        file: "shop",
        from: "kind: ConfigMap",
        to: "kind: ConfigMap\nspec: {{ .Values.spec }}",
        said: "app/shop.yaml:22:8: this key is a list or a mapping; keys are words; a value with `{` in it (a template?) needs quotes",
    },
];

#[test]
fn broken_input_is_told_with_file_line_and_path_and_what_to_do() {
    let mut wrong = Vec::new();
    for Broken { file, from, to, said } in BROKEN {
        let change = |name: &str, text: &str| if *file == name { text.replacen(from, to, 1) } else { text.to_owned() };
        let (shop, canary) = (change("shop", SHOP), change("canary", CANARY));
        assert!(shop != SHOP || canary != CANARY, "{from} is nowhere");
        let outcome = Folder::new(&shop, &canary, &[]).rehearse(&["-f", "app"]);
        if (outcome.code, outcome.err.lines().any(|line| line == *said)) != (2, true) || !outcome.out.is_empty() {
            wrong.push(format!("wanted: {said}\nexit {}: {}", outcome.code, outcome.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_flags_are_told_with_what_there_is() {
    let folder = Folder::new(SHOP, CANARY, &[("empty/readme.md", "nothing")]);
    for (arguments, said) in [
        (
            &["-f", "nowhere"][..],
            "nowhere: cannot be read: No such file or directory (os error 2); check the name given to -f",
        ),
        (
            &["-f", "empty"],
            "empty: there is no object in here; name the file or the folder with the Canary and its Deployment (.yaml, .yml or .json)",
        ),
        (
            &["-f", "app/shop.yaml"],
            "app/shop.yaml: there is no Canary among the manifests; give the file with the Canary as well, with another -f",
        ),
        (&["-f", "app", "--canary", "kart"], "--canary: there is no Canary kart; known: cart.shop"),
        (
            &["-f", "app", "--metric", "speed=1"],
            "--metric: no Canary has a metric speed; known: latency, p95, request-success-rate",
        ),
        (&["-f", "app", "--hook", "gate=200"], "--hook: no Canary has a hook gate; known: smoke"),
        (
            &["-f", "app", "--set-image", "registry.example/cart:1.4.2"],
            "--set-image: container web has the image registry.example/cart:1.4.2 already; that is no release; give another image",
        ),
        (&["-f", "app", "--set-image", "app=x:2"], "--set-image: no target has a container app; known: web"),
    ] {
        let outcome = folder.rehearse(arguments);
        assert_eq!((outcome.code, outcome.err.trim_end()), (2, said));
    }
    let outcome = folder.rehearse(&["-f", "app", "--metric", "latency=high"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.err.contains("`high` is no number; write one such as 99.5"), "{}", outcome.err);
}

#[test]
fn a_rule_of_validate_can_be_left_out() {
    let port = ("targetPort: 8080", "targetPort: http");
    assert_eq!(with(port, &[]).code, 2);
    assert_eq!(with(port, &["--skip", "target-port"]).code, 0);
}
