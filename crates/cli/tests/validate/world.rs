//! The target, what belongs to it, and the provider.

use super::assert_findings;
use crate::breaking::Broken;

#[test]
fn a_port_misspelt() {
    let broken = Broken::of("catalog").replace("canary.yaml", "targetPort: http", "targetPort: htttp");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:23: error: spec.service.targetPort: no container of Deployment catalog has a port named htttp; did you mean http? [target-port]",
        ],
    );
}

#[test]
fn a_port_that_no_container_declares() {
    let broken = Broken::of("catalog").replace("canary.yaml", "targetPort: http", "targetPort: 8080");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:23: warning: spec.service.targetPort: no container of Deployment catalog declares port 8080; set targetPort to what the container listens on: there is http (3000) [undeclared-port]",
        ],
    );
}

#[test]
fn a_target_without_selector_label() {
    let broken = Broken::of("catalog").replace("catalog.yaml", "      app: catalog", "      component: catalog");
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:11: error: spec.selector.matchLabels: has none of app, name, app.kubernetes.io/name; add `app: catalog` here and to the labels of the pods, or run the controller with -selector-labels [selector-label]",
        ],
    );
}

#[test]
fn a_target_whose_selector_misses_its_pods() {
    let broken = Broken::of("catalog").replace(
        "catalog.yaml",
        "  template:\n    metadata:\n      labels:\n        app: catalog",
        "  template:\n    metadata:\n      labels:\n        app: catalogue",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:12: error: spec.selector.matchLabels[app]: wants app: catalog, but the pods have app: catalogue; give the pods the same labels (spec.template.metadata) [selector-mismatch]",
        ],
    );
}

#[test]
fn replicas_beside_an_autoscaler() {
    let broken = Broken::of("istio-weighted").replace(
        "checkout.yaml",
        "  minReadySeconds: 3",
        "  replicas: 3\n  minReadySeconds: 3",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./checkout.yaml:27: warning: spec.replicas: is 3, but HorizontalPodAutoscaler checkout sets it; remove the field [replicas-and-autoscaler]",
        ],
    );
}

#[test]
fn an_autoscaler_that_the_canary_does_not_name() {
    let broken = Broken::of("catalog").replace(
        "canary.yaml",
        "  autoscalerRef:\n    apiVersion: autoscaling/v2\n    kind: HorizontalPodAutoscaler\n    name: catalog\n",
        "",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:6: warning: spec: HorizontalPodAutoscaler catalog scales the target (./catalog.yaml:39); add autoscalerRef with apiVersion autoscaling/v2 and name catalog [autoscaler-not-referenced]",
        ],
    );
}

#[test]
fn an_autoscaler_in_another_namespace() {
    let broken = Broken::of("istio-weighted").replace(
        "checkout.yaml",
        "kind: HorizontalPodAutoscaler\nmetadata:\n  name: checkout\n  namespace: shop",
        "kind: HorizontalPodAutoscaler\nmetadata:\n  name: checkout\n  namespace: shops",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:15: warning: spec.autoscalerRef.name: there is no HorizontalPodAutoscaler checkout in the namespace shop among the manifests; there is one in the namespace shops, but it must be in shop: ./checkout.yaml:76 [missing-autoscaler]",
        ],
    );
}

#[test]
fn an_autoscaler_upside_down() {
    let broken = Broken::of("catalog").replace("catalog.yaml", "minReplicas: 2", "minReplicas: 9");
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:49: error: spec.minReplicas: minReplicas 9 is above maxReplicas 4; correct one of them [autoscaler-bounds]",
        ],
    );
}

#[test]
fn a_primary_autoscaler_upside_down() {
    let broken = Broken::of("istio-weighted").replace("canary.yaml", "minReplicas: 3", "minReplicas: 9");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:16: error: spec.autoscalerRef.primaryScalerReplicas: makes the primary's minReplicas 9 with maxReplicas 6, of which one is that of HorizontalPodAutoscaler checkout; set both here [autoscaler-bounds]",
        ],
    );
}

#[test]
fn a_config_that_is_missing() {
    let broken = Broken::of("istio-weighted").replace(
        "checkout.yaml",
        "kind: ConfigMap\nmetadata:\n  name: checkout",
        "kind: ConfigMap\nmetadata:\n  name: checkout-settings",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./checkout.yaml:52: warning: spec.template.spec.containers[0].envFrom[0].configMapRef.name: there is no ConfigMap checkout in the namespace shop among the manifests; did you mean checkout-settings? [missing-config]",
        ],
    );
}

#[test]
fn a_target_misspelt() {
    let broken = Broken::of("kubernetes-blue-green").replace(
        "canary.yaml",
        "    kind: Deployment\n    name: ledger",
        "    kind: Deployment\n    name: ledgers",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:11: warning: spec.targetRef.name: there is no Deployment ledgers among the manifests; did you mean ledger? [missing-target]",
        ],
    );
}

#[test]
fn an_ingress_with_another_port() {
    let broken = Broken::of("catalog").replace("catalog.yaml", "number: 80", "number: 8080");
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:80: error: spec.rules[0].http.paths[0].backend.service.port: 8080 is not the port of the Service catalog, which has 80 (http); write `number: 80` [ingress-port]",
        ],
    );
}

#[test]
fn an_ingress_that_leads_elsewhere() {
    let broken = Broken::of("catalog").replace(
        "catalog.yaml",
        "          service:\n            name: catalog",
        "          service:\n            name: catalogue",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./catalog.yaml:71: error: spec.rules: no path leads to the Service catalog; name catalog as a backend, or correct spec.service.name of the Canary [ingress-backend]",
        ],
    );
}

#[test]
fn nginx_without_an_ingress() {
    let broken = Broken::of("catalog").replace(
        "canary.yaml",
        "  ingressRef:\n    apiVersion: networking.k8s.io/v1\n    kind: Ingress\n    name: catalog\n",
        "",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:6: error: spec.ingressRef: provider nginx needs an Ingress; add ingressRef with apiVersion networking.k8s.io/v1, kind Ingress and its name [missing-reference]",
        ],
    );
}

#[test]
fn weights_without_a_router() {
    let broken = Broken::of("catalog").replace("canary.yaml", "provider: nginx", "provider: kubernetes");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:28: warning: spec.analysis.stepWeights: provider kubernetes does not split traffic: the release is blue/green with 10 iterations; set iterations instead, or take a provider that splits traffic [provider-ability]",
        ],
    );
}

#[test]
fn a_provider_that_is_not_built() {
    let broken = Broken::of("catalog").replace("canary.yaml", "provider: nginx", "provider: traefik");
    assert_findings(
        &broken,
        1,
        &[
            "./canary.yaml:7: error: spec.provider: provider traefik is not supported by this version, nothing would be changed; docs/providers.md says what there is [unsupported]",
        ],
    );
}

#[test]
fn mirroring_beside_an_ab_test() {
    let broken = Broken::of("istio-ab-testing").replace(
        "canary.yaml",
        "    iterations: 6",
        "    iterations: 6\n    mirror: true",
    );
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:21: warning: spec.analysis.mirror: Traffic mirroring is not supported together with analysis.match; remove it, or take a provider that can do it [provider-ability]",
        ],
    );
}

#[test]
fn a_header_with_capital_letters() {
    let broken = Broken::of("istio-ab-testing").replace("canary.yaml", "user-agent", "User-Agent");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:25: warning: spec.analysis.match[0].headers.User-Agent: User-Agent has capital letters; write user-agent [istio-header-case]",
        ],
    );
}

#[test]
fn look_ahead_for_istio() {
    let broken = Broken::of("istio-ab-testing").replace("canary.yaml", ".*Firefox/.*", "^(?!.*Chrome).*Safari.*");
    assert_findings(
        &broken,
        0,
        &[
            "./canary.yaml:26: warning: spec.analysis.match[0].headers.user-agent.regex: `(?!` is not known to RE2; say it without look-around [istio-regex]",
        ],
    );
}

#[test]
fn a_service_that_the_controller_writes_too() {
    let broken = Broken::of("kubernetes-blue-green").add("service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: ledger\n  namespace: ledger\nspec:\n  selector:\n    app: ledger\n  ports:\n  - port: 8080\n");
    assert_findings(
        &broken,
        0,
        &[
            "./service.yaml:1: warning: the controller of Canary ledger changes metadata.annotations and spec.selector and spec.ports; remove this manifest: the controller makes the object itself [owned-by-both]",
        ],
    );
}

#[test]
fn a_service_for_the_target_alone() {
    let broken = Broken::of("kubernetes-blue-green").add("service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: ledger-internal\n  namespace: ledger\nspec:\n  selector:\n    app: ledger\n  ports:\n  - port: 8080\n");
    assert_findings(
        &broken,
        0,
        &[
            "./service.yaml:7: warning: spec.selector: app: ledger selects the pods of Deployment ledger, which is scaled to zero between releases; those that serve have app: ledger-primary; use the Service ledger that the controller makes [selects-only-target]",
        ],
    );
}

#[test]
fn a_disruption_budget_for_the_target_alone() {
    let broken = Broken::of("kubernetes-blue-green").add("budget.yaml", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: ledger\n  namespace: ledger\nspec:\n  minAvailable: 1\n  selector:\n    matchLabels:\n      app: ledger\n");
    assert_findings(
        &broken,
        0,
        &[
            "./budget.yaml:9: warning: spec.selector.matchLabels: app: ledger selects the pods of Deployment ledger, which is scaled to zero between releases; those that serve have app: ledger-primary; select by a label that both have, such as one more of your own in the pod template [selects-only-target]",
        ],
    );
}

#[test]
fn two_canaries_for_one_target() {
    let broken = Broken::of("kubernetes-blue-green").copy("canary.yaml", "second.yaml").replace(
        "second.yaml",
        "metadata:\n  name: ledger",
        "metadata:\n  name: ledger-two",
    );
    assert_findings(
        &broken,
        1,
        &[
            "./second.yaml:11: error: spec.targetRef.name: Canary ledger has this target too (./canary.yaml:1); remove one of the two Canaries [shared-target]",
        ],
    );
}
