//! Acceptance scenarios, section L: the life of a Canary, whatever the provider. Each test is named by its number.

mod harness;

use harness::*;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn l_01_initialization_creates_the_primary_side() {
    let world = World::initialized("istio", steps(10, 30)).await;
    let primary = world.get("deploy", "cart-primary");
    assert_eq!(primary["spec"]["selector"]["matchLabels"], json!({"app": "cart-primary"}));
    assert_eq!(primary["spec"]["replicas"], 1);
    assert_eq!(primary["metadata"]["ownerReferences"][0]["kind"], "Canary");
    assert_eq!(primary["metadata"]["ownerReferences"][0]["controller"], true);
    assert_eq!(primary["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["secretKeyRef"]["name"], "cart-secret-primary");
    for (name, pods) in [("cart", "cart-primary"), ("cart-primary", "cart-primary"), ("cart-canary", "cart")] {
        let service = world.get("service", name);
        assert_eq!(service["spec"]["selector"], json!({"app": pods}), "{name}");
        assert_eq!(service["metadata"]["labels"], json!({"app": name}));
        assert_eq!(
            service["metadata"]["annotations"],
            json!({"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"})
        );
    }
    assert_eq!(world.get("secret", "cart-secret-primary")["data"], world.get("secret", "cart-secret")["data"]);
    assert_eq!(world.replicas("cart"), 0);
    let status = world.status();
    assert_eq!((&status["phase"], &status["canaryWeight"]), (&json!("Initialized"), &json!(0)));
    assert_eq!(status["lastAppliedSpec"], status["lastPromotedSpec"]);
    assert_eq!(world.story().last().unwrap(), "N Initialization done! cart.shop");
}
