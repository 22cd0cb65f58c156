//! What holds for every way of splitting traffic, whatever the strategy.

use super::{ROUTERS, Router, is_named, router};
use crate::testing::{World, allowed_values, rollout};
use ::rollout::{Affinity, AffinityAbility, Routes, Weight};
use api::Rollout;
use objects::kind::INGRESS;
use objects::{Change, Snapshot, Write};

/// The strategies, as `spec.analysis`.
const STRATEGIES: [(&str, &str); 8] = [
    ("weighted", "{stepWeight: 10, maxWeight: 50}"),
    ("weighted with mirror", "{stepWeight: 10, maxWeight: 50, mirror: true}"),
    ("weighted with affinity", "{stepWeight: 10, maxWeight: 50, sessionAffinity: {cookieName: side, maxAge: 60}}"),
    (
        "weighted with both cookies",
        "{stepWeight: 10, maxWeight: 50, sessionAffinity: {cookieName: side, primaryCookieName: home}}",
    ),
    ("weighted with match", "{stepWeight: 10, match: [{headers: {x-user: {exact: insider}}}]}"),
    ("A/B", "{iterations: 3, match: [{headers: {x-user: {exact: insider}}}, {headers: {cookie: {exact: canary}}}]}"),
    ("blue/green", "{iterations: 3}"),
    ("blue/green with mirror", "{iterations: 3, mirror: true, mirrorWeight: 50}"),
];

/// What an Ingress controller's router needs; the others do not look at it.
const APEX: &str = "
    metadata: {name: front, namespace: shop}
    spec:
      rules:
      - http:
          paths: [{path: /, pathType: Prefix, backend: {service: {name: cart, port: {number: 80}}}}]";

/// A router with a Canary for it and the user's objects.
struct Bench {
    router: &'static dyn Router,
    rollout: Rollout,
    world: World,
    name: String,
}

impl Bench {
    fn new(router: &'static dyn Router, strategy: &str, analysis: &str) -> Self {
        let provider = router.name();
        let spec = format!(
            "{{provider: '{provider}', ingressRef: {{name: front}}, service: {{port: 80, gatewayRefs: [{{name: public}}]}}, analysis: {analysis}}}"
        );
        let world = World::new().with_yaml(&INGRESS, APEX);
        Self { router, rollout: rollout(&spec), world, name: format!("{provider}, {strategy}") }
    }

    /// Renders and applies. What was wanted is read back, and rendering it again, as a step or as upkeep, plans nothing.
    fn route(&mut self, want: &Routes) -> Vec<Write> {
        let name = &self.name;
        let writes = self.render(want);
        self.world.apply(&writes);
        let read =
            self.router.routes(&self.rollout, &self.world.live).unwrap_or_else(|error| panic!("{name}: {error}"));
        if self.router.abilities(&self.rollout, &self.world.live).shifts {
            assert_eq!(read, Routes { affinity: None, ..want.clone() }, "{name}: read back");
        }
        assert_eq!(self.render(want), [], "{name}: {want:?} again");
        assert_eq!(self.render(&read), [], "{name}: upkeep of {want:?}");
        writes
    }

    fn render(&self, want: &Routes) -> Vec<Write> {
        let writes = self.router.render(&self.rollout, &self.world.live, want);
        writes.unwrap_or_else(|error| panic!("{}: {want:?}: {error}", self.name))
    }

    /// A story from the first look to the end of a rollout, and another rollout that fails.
    fn story(&self) -> Vec<Routes> {
        let weighted = |percent| Routes::weighted(Weight::clipped(percent));
        let mut story = vec![weighted(0)];
        if self.rollout.analysis.mirror && self.router.abilities(&self.rollout, &self.world.live).mirrors {
            story.extend([Routes::mirror(), weighted(30), Routes::mirror()]);
        }
        story.extend([30, 100, 0, 30, 0].map(weighted));
        story.into_iter().map(|want| self.with_cookies(want)).collect()
    }

    /// As the decision does: cookies only for routers that know them.
    fn with_cookies(&self, want: Routes) -> Routes {
        let ability = self.router.abilities(&self.rollout, &self.world.live).affinity;
        let Some(asked) = &self.rollout.analysis.session_affinity else { return want };
        if ability == AffinityAbility::None {
            return want;
        }
        let given = !want.canary.is_zero();
        let cookie = "side=abcdefghij".to_owned();
        let home = asked.primary_cookie_name.as_ref().filter(|_| given && ability == AffinityAbility::Both);
        let affinity = Affinity {
            canary: given.then(|| cookie.clone()),
            primary: home.map(|name| format!("{name}=klmnopqrst")),
            expired: (!given).then_some(cookie),
        };
        Routes { affinity: Some(affinity), ..want }
    }

    /// Every object that is read or written is of a kind in the list, with the verbs that takes.
    fn assert_allowed(&self, writes: &[Write]) {
        for reference in self.router.reads(&self.rollout) {
            self.assert_may(reference.kind, &["get", "list", "watch"]);
        }
        for write in writes {
            let verb = match write.change {
                Change::Create(_) => "create",
                Change::Merge { .. } => "patch",
                Change::Delete => "delete",
                Change::CopyContent { .. } => panic!("{}: routers copy no configs", self.name),
            };
            self.assert_may(write.target.kind, &[verb]);
            let reads = self.router.reads(&self.rollout);
            assert!(reads.contains(&write.target), "{}: {} is written unseen", self.name, write.target);
        }
    }

    fn assert_may(&self, kind: &objects::Kind, verbs: &[&str]) {
        let access = self.router.kinds().iter().find(|access| access.kind == kind);
        let allowed = access.map(|access| access.verbs).unwrap_or_default();
        for verb in verbs {
            assert!(allowed.contains(verb), "{}: {verb} {} is not in its list", self.name, kind.kind);
        }
    }
}

fn benches() -> impl Iterator<Item = Bench> {
    ROUTERS
        .iter()
        .flat_map(|router| STRATEGIES.into_iter().map(|(strategy, analysis)| Bench::new(*router, strategy, analysis)))
}

#[test]
fn what_is_rendered_is_read_back_and_never_rendered_twice() {
    for mut bench in benches() {
        for want in bench.story() {
            bench.route(&want);
        }
    }
}

#[test]
fn routes_that_are_lost_are_made_again_as_they_were() {
    for mut bench in benches() {
        let want = bench.with_cookies(Routes::weighted(Weight::clipped(30)));
        bench.route(&want);
        let before = bench.world.live.clone();
        bench.world = World::new().with_yaml(&INGRESS, APEX);
        bench.route(&want);
        for reference in bench.router.reads(&bench.rollout) {
            let spec = |live: &Snapshot| live.find(&reference).expect("it is made").get("spec").cloned();
            assert_eq!(spec(&bench.world.live), spec(&before), "{}: {reference}", bench.name);
        }
    }
}

#[test]
fn what_was_created_can_be_given_back() {
    for mut bench in benches() {
        for want in bench.story() {
            bench.route(&want);
            let writes = bench.router.revert(&bench.rollout, &bench.world.live);
            let writes = writes.unwrap_or_else(|error| panic!("{}: {want:?}: {error}", bench.name));
            bench.assert_allowed(&writes);
            let mut reverted = bench.world.clone();
            reverted.apply(&writes);
            assert_eq!(bench.router.revert(&bench.rollout, &reverted.live), Ok(Vec::new()), "{}: twice", bench.name);
        }
        let nothing = World::new();
        assert_eq!(bench.router.revert(&bench.rollout, &nothing.live), Ok(Vec::new()), "{}: nothing", bench.name);
    }
}

#[test]
fn what_is_touched_may_be_touched() {
    for mut bench in benches() {
        for want in bench.story() {
            let writes = bench.route(&want);
            bench.assert_allowed(&writes);
        }
    }
}

#[test]
fn kinds_are_listed_once_and_needed() {
    for router in ROUTERS {
        let bench = Bench::new(*router, "weighted", "{stepWeight: 10}");
        let kinds: Vec<_> = router.kinds().iter().map(|access| access.kind).collect();
        for (at, kind) in kinds.iter().enumerate() {
            assert!(!kinds[..at].contains(kind), "{}: {} twice", bench.name, kind.kind);
            let read = router.reads(&bench.rollout).iter().any(|reference| reference.kind == *kind);
            assert!(read, "{}: {} is asked for in vain", bench.name, kind.kind);
        }
    }
}

#[test]
fn writes_fail_with_the_name_of_the_object() {
    for mut bench in benches() {
        for write in bench.story().iter().flat_map(|want| bench.route(want)) {
            let named = write.failure.contains(&format!("{}.shop", write.target.name));
            assert!(named && write.failure.ends_with(' '), "{}: {:?}", bench.name, write.failure);
        }
    }
}

/// What a router cannot do is said in whole texts, each once: they become events and the condition `Unsupported`, which joins them with `; `.
#[test]
fn limits_are_told_in_words() {
    let everything = "{stepWeight: 10, mirror: true, mirrorWeight: 50, match: [{queryParams: {q: {exact: z}}, headers: {x-a: {exact: b}}}],
        sessionAffinity: {cookieName: side, primaryCookieName: home}}";
    let all = ROUTERS.iter().map(|router| Bench::new(*router, "everything", everything));
    for bench in benches().chain(all) {
        for live in [&bench.world.live, &Snapshot::new()] {
            let missing = bench.router.abilities(&bench.rollout, live).missing;
            for (at, text) in missing.iter().enumerate() {
                assert!(!text.trim().is_empty() && text.trim() == text, "{}: {text:?}", bench.name);
                assert!(!text.ends_with('.') && !text.contains(['\n', ';']), "{}: {text:?}", bench.name);
                assert!(!missing[..at].contains(text), "{}: {text:?} twice", bench.name);
            }
        }
    }
}

#[test]
fn what_is_asked_for_in_vain_is_told() {
    let affinity = "{stepWeight: 10, sessionAffinity: {cookieName: side}}";
    for router in ROUTERS {
        let bench = Bench::new(*router, "weighted with affinity", affinity);
        let abilities = router.abilities(&bench.rollout, &bench.world.live);
        // Without shifting the decision itself warns, and runs blue/green.
        let told = !abilities.missing.is_empty() || !abilities.shifts;
        assert!(abilities.affinity != AffinityAbility::None || told, "{}", bench.name);
    }
}

#[test]
fn names_are_unique_and_allowed_by_the_crd() {
    let allowed = allowed_values(&api::crd::canary(), "gatewayapi:v1");
    assert!(allowed.len() > ROUTERS.len(), "{allowed:?}");
    let mut names: Vec<_> = ROUTERS.iter().map(|router| router.name()).collect();
    for name in &names {
        assert!(allowed.iter().any(|value| value == name), "the CRD refuses {name}");
        assert!(is_named(name), "{name} would be taken for Istio");
        assert_eq!(router(name).map(Router::name), Some(*name), "somebody else serves {name}");
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

/// A Canary with a provider that is not built yet must be left alone, not be given to Istio.
#[test]
fn every_provider_of_the_crd_has_its_router_or_none() {
    for value in allowed_values(&api::crd::canary(), "gatewayapi:v1") {
        let served = router(&value).map(Router::name);
        assert!(served.is_none_or(|name| name == value), "{value} is served by {served:?}");
    }
}

#[test]
fn objects_that_are_not_there_are_an_error_that_names_them() {
    for router in ROUTERS.iter().filter(|router| !router.kinds().is_empty()) {
        let bench = Bench::new(*router, "weighted", "{stepWeight: 10}");
        let error = router.routes(&bench.rollout, &Snapshot::new()).unwrap_err().to_string();
        let named =
            router.reads(&bench.rollout).iter().any(|reference| error.contains(&format!("{}.shop", reference.name)));
        assert!(named && error.ends_with("not found"), "{}: {error}", bench.name);
    }
}
