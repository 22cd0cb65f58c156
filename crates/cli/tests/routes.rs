//! What the routers render is what the lab's data plane does: each checks the other.
//!
//! For every provider of which the data plane understands the objects: render, apply, send requests, count sides. No sockets, no controller.

use api::{Canary, Rollout, Settings};
use lab::dataplane::split::{Asked, Way, way};
use lab::dataplane::{Objects, Spread};
use objects::diff::apply_merge_patch;
use objects::{Change, Snapshot};
use providers::routers::{Router, router};
use rollout::{Affinity, AffinityAbility, Routes, Weight};
use serde_json::{Value, json};
use std::sync::Arc;

const PROVIDERS: [&str; 4] = ["istio", "gatewayapi:v1", "gatewayapi:v1beta1", "nginx"];

#[derive(Debug)]
struct World {
    router: &'static dyn Router,
    rollout: Rollout,
    live: Snapshot,
    spread: Spread,
}

impl Objects for World {
    fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(kind, namespace).into_iter().find(|object| objects::paths::text(object, "/metadata/name") == name)
    }

    fn list(&self, kind: &str, namespace: &str) -> Vec<Arc<Value>> {
        let of =
            self.live.iter().filter(|(reference, _)| reference.kind.kind == kind && &*reference.namespace == namespace);
        of.map(|(_, object)| Arc::new(object.clone())).collect()
    }
}

impl World {
    /// A Canary `shop` with this analysis, and what its user had before.
    fn new(provider: &str, analysis: &Value) -> Option<Self> {
        let canary: Canary = serde_json::from_value(json!({
            "metadata": {"name": "shop", "namespace": "demo", "uid": "1"},
            "spec": {
                "provider": provider,
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
                "ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"},
                "service": {"port": 80, "gatewayRefs": [{"name": "gateway", "namespace": "demo"}]},
                "analysis": analysis,
            },
        }))
        .ok()?;
        let rollout = Rollout::resolve(&canary, &Arc::new(Settings::default()));
        let mut live = Snapshot::new();
        let path = json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}});
        let ingress = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "web", "namespace": "demo", "resourceVersion": "1"},
            "spec": {"rules": [{"host": "shop.example.com", "http": {"paths": [path]}}]},
        });
        live.insert(objects::kind::INGRESS.object("demo", "web"), Arc::new(ingress));
        Some(Self { router: router(provider)?, rollout, live, spread: Spread::default() })
    }

    /// Renders and applies.
    fn route(&mut self, want: &Routes) {
        let writes = self.router.render(&self.rollout, &self.live, want).unwrap_or_else(|error| panic!("{error}"));
        for write in writes {
            let mut object = self.live.look_or_missing(&write.target).cloned().unwrap_or_default();
            match write.change {
                Change::Create(created) => object = created,
                Change::Merge { patch, .. } => apply_merge_patch(&mut object, &patch),
                other => panic!("{other:?}"),
            }
            self.live.insert(write.target, Arc::new(object));
        }
    }

    fn send(&mut self, asked: &Asked) -> Way {
        let mut spread = std::mem::take(&mut self.spread);
        let found = way(self, &mut spread, asked).unwrap_or_else(|error| panic!("{error}: {:?}", self.live));
        self.spread = spread;
        found
    }

    /// How many of a hundred such requests go to the canary.
    fn share(&mut self, asked: &Asked) -> usize {
        (0..100).filter(|_| self.send(asked).service == "shop-canary").count()
    }
}

fn get() -> Asked {
    Asked::get("demo", "shop", "/")
}

fn worlds(analysis: &Value) -> impl Iterator<Item = World> {
    PROVIDERS.into_iter().map(move |provider| World::new(provider, analysis).unwrap_or_else(|| panic!("{provider}")))
}

#[test]
fn weights_are_what_users_get() {
    for mut world in worlds(&json!({"stepWeight": 10, "maxWeight": 50})) {
        for percent in [0, 1, 10, 33, 50, 99, 100, 0] {
            world.route(&Routes::weighted(Weight::clipped(percent)));
            let share = world.share(&get());
            assert_eq!(i64::try_from(share).unwrap(), percent, "{}", world.router.name());
        }
    }
}

#[test]
fn an_ab_test_is_for_those_who_match() {
    for mut world in worlds(&json!({"iterations": 3, "match": [{"headers": {"x-user": {"exact": "insider"}}}]})) {
        let name = world.router.name();
        world.route(&Routes::to_primary());
        assert_eq!(world.share(&get().with("X-User", "insider")), 0, "{name}: not before it starts");
        world.route(&Routes::weighted(Weight::FULL));
        assert_eq!(world.share(&get().with("X-User", "insider")), 100, "{name}");
        assert_eq!(world.share(&get().with("X-User", "somebody")), 0, "{name}");
        assert_eq!(world.share(&get()), 0, "{name}");
    }
}

#[test]
fn mirrored_requests_reach_the_canary_as_copies() {
    for mut world in worlds(&json!({"iterations": 3, "mirror": true})) {
        let name = world.router.name();
        world.route(&Routes::mirror());
        let seen = world.send(&get());
        assert_ne!(seen.service, "shop-canary", "{name}");
        assert_eq!(seen.mirror.as_deref(), Some("shop-canary"), "{name}");
        world.route(&Routes::to_primary());
        assert_eq!(world.send(&get()).mirror, None, "{name}");
    }
}

#[test]
fn who_was_at_the_canary_stays_there() {
    let mut tried = 0;
    for mut world in
        worlds(&json!({"stepWeight": 10, "maxWeight": 50, "sessionAffinity": {"cookieName": "side", "maxAge": 60}}))
    {
        let name = world.router.name();
        if world.router.abilities(&world.rollout, &world.live).affinity == AffinityAbility::None {
            continue;
        }
        tried += 1;
        let cookie = Affinity { canary: Some("side=abcdefghij".to_owned()), ..Affinity::default() };
        world.route(&Routes { affinity: Some(cookie), ..Routes::weighted(Weight::clipped(10)) });
        let given: Vec<String> = (0..100)
            .map(|_| world.send(&get()))
            .filter(|seen| seen.service == "shop-canary")
            .flat_map(|seen| seen.response_headers)
            .filter_map(|(name, value)| name.eq_ignore_ascii_case("set-cookie").then_some(value))
            .collect();
        assert_eq!(given, ["side=abcdefghij; Max-Age=60"; 10], "{name}");
        assert_eq!(world.share(&get().with("cookie", "other=1; side=abcdefghij")), 100, "{name}");
        assert_eq!(world.share(&get().with("cookie", "side=somebodyelse")), 10, "{name}");
    }
    assert!(tried >= 2, "istio and gatewayapi tie clients by cookies");
}
