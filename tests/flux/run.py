#!/usr/bin/env python3
"""Flux applies the examples gitops-istio and gitops-flux-bootstrap to a real API server, again and again through whole rollouts, and nobody fights.

    CONFORMANCE=DIR KUBE_BIN=DIR HELM=FILE FLUX_DIR=DIR python3 tests/flux/run.py BIN [--keep] [EXAMPLE...]

Both examples run at once, each on a control plane of its own. Needs kubectl, git, helm (tests/charts/helm) and kustomize-controller (tests/flux/controllers);
cluster.py beside this file says what is real and what a stand-in. In the copy of the examples that Flux gets, the interval of Kustomization `apps` is 2 s, that
of the backend's Canary 10 s (there is no shorter one), and the chat has http. `gitops-istio` is otherwise as it stands: it has `wait: true`, so Flux waits for a
rollout, but commits come all the time, and kustomize-controller is told to begin again with each of them. In `gitops-flux-bootstrap` the controller's release has
`kstatusConditions: false`, so Flux knows nothing about rollouts and applies at each interval.

Shown of each: Flux applies everything in its order until both Canaries are Initialized; a commit with another image is promoted to the end, another one is
rolled back, one by weight and one as an A/B test; in all of it

* kustomize-controller applied many times, and but for what was committed it found everything as it left it: no drift;
* `replicas` of the target goes up once and down once, Services stay, weights do not go back before the end, generations count what a rollout needs;
* no field belongs to both;
* the Kustomization says what users are told (`flux get kustomizations`);
* the same if `kubectl apply`, and `kubectl apply --server-side`, do every two seconds what Flux does;
* an application that is taken out of git goes, with what the controller made for it and nothing else.
"""
import argparse, concurrent.futures, os, re, shutil, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import KUSTOMIZE, Cluster, Failure, History, permitted  # noqa: E402

MADE = ["Deployment/{}-primary", "HorizontalPodAutoscaler/{}-primary", "Service/{}", "Service/{}-canary", "Service/{}-primary", "VirtualService/{}",
        "DestinationRule/{}-canary", "DestinationRule/{}-primary"]
GIVEN = ["Deployment/{}", "HorizontalPodAutoscaler/{}", "Canary/{}"]
CONFIGS = {"backend": ("ConfigMap/backend", "ConfigMap/backend-primary"), "frontend": ()}
WEIGHTS = {("backend", "Succeeded"): [*range(0, 55, 5), 0], ("frontend", "Succeeded"): [0, 100, 0], ("backend", "Failed"): [0, 5, 0], ("frontend", "Failed"): [0, 100, 0]}
# Of the programs' names for themselves.
FLUX, FLAGGER = "kustomize-controller", "flagger"


def same(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {found} instead of {wanted}")


def changes(values):
    """Without repetitions next to each other."""
    values = list(values)
    return [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]


def phase(cluster, name):
    return phase_in(cluster.history, name)


def phase_in(history, name):
    return ((history.living().get(f"Canary/{name}") or {}).get("status") or {}).get("phase")


def weights(state):
    """What the canary gets, in the first route."""
    return next((route.get("weight", 0) for route in state["spec"]["http"][0]["route"] if route["destination"]["host"].endswith("-canary")), 0)


def leaves(fields, at=()):
    """The fields of an entry of managedFields."""
    inner = {key: value for key, value in fields.items() if key != "."}
    if not inner:
        yield at
    for key, value in inner.items():
        yield from leaves(value, (*at, key))


def owners(state):
    """Field -> who manages it. The fields that are for everybody (annotations, labels) count like any other."""
    found = {}
    for entry in state["metadata"].get("managedFields", []):
        if entry.get("subresource") != "status":
            for field in leaves(entry["fieldsV1"]):
                found.setdefault(field, set()).add(entry["manager"])
    return found


def nobody_shares_a_field(history, *others):
    living = history.living()
    for name, state in living.items():
        both = [field for field, who in owners(state).items() if FLAGGER in who and who & set(others)]
        same(f"{name}: fields of both", both, [])
    replicas = {name: owners(living[name])["f:spec", "f:replicas"] for name in (f"Deployment/{one}" for one in CONFIGS) if name in living}
    same("who manages the targets' replicas", replicas, {name: {FLAGGER} for name in replicas})


def what_a_rollout_needs(history, mark, name, end, image):
    """Since then a rollout has changed what it has to, once, and nothing else was changed. `image`: the target's template is what was committed."""
    replicas = changes(state["spec"]["replicas"] for state in history.since(mark, f"Deployment/{name}"))
    same(f"{name}: replicas of the target", replicas, [0, 2, 0])
    for suffix in ("", "-canary", "-primary"):
        services = history.since(mark, f"Service/{name}{suffix}")
        same(f"{name}: versions of Service {name}{suffix}", len(services), 1)
        same(f"{name}: selector of Service {name}{suffix}", services[0]["spec"]["selector"], {"app": name if suffix == "-canary" else f"{name}-primary"})
    shares = changes(weights(state) for state in history.since(mark, f"VirtualService/{name}"))
    same(f"{name}: weights", shares, WEIGHTS[name, end])
    counts = {}
    for one in [form.format(name) for form in (*MADE, *GIVEN)]:
        states = history.since(mark, one)
        if "generation" in states[0]["metadata"]:
            counts[one.replace(f"/{name}", "")] = states[-1]["metadata"]["generation"] - states[0]["metadata"]["generation"]
        foreign = [label for label in states[-1]["metadata"].get("labels") or {} if "toolkit.fluxcd.io" in label and one.split("/")[1] != name]
        same(f"{one}: labels of Flux", foreign, [])
    # The target: image (if it is that), up, down. Its copy: the promotion. The route: its weights, and nothing else.
    wanted = {"Deployment": 2 + image, "Deployment-primary": int(end == "Succeeded"), "VirtualService": len(shares) - 1}
    same(f"{name}: new generations", {one: n for one, n in counts.items() if n}, {one: n for one, n in wanted.items() if n})
    return f"replicas {replicas}, weights {shares}, new generations {wanted}"


class Rollouts:
    """One or more at once: what happened to the applications' objects from the commit to the end."""

    def __init__(self, cluster, ends, *edits):
        """`ends`: application -> the phase in which it ends. `edits`: (what it changes, file, pattern, replacement)."""
        self.cluster, self.ends = cluster, ends
        self.mark, self.rounds = cluster.history.now(), len(cluster.applied("apps"))
        self.changed = {edit[0]: ["configured"] for edit in edits}
        for edit in edits:
            cluster.repository.replace(*edit[1:])
        cluster.repository.commit("; ".join(edit[3] for edit in edits))
        self.begun, self.commits, self.told, self.through = time.monotonic(), 1, set(), {}

    def follow(self, seconds, busy=False):
        """To their ends, and (`busy`) as if others committed all the time."""
        begun = set()

        def look():
            self.told.add(self.cluster.kustomizations()["apps"])
            if busy and len(self.applied()) >= self.commits:
                self.cluster.repository.commit(f"something else, {self.commits}")
                self.commits += 1

        def ended():
            for name, end in self.ends.items():
                present = phase(self.cluster, name)
                if present == "Progressing":
                    begun.add(name)
                if name in begun and present == end and name not in self.through:
                    self.through[name] = len(self.applied()), time.monotonic() - self.begun
            return set(self.through) == set(self.ends)
        self.cluster.wait(f"it came to these ends: {self.ends}", seconds, ended, look)

    def applied(self):
        return self.cluster.applied("apps")[self.rounds:]

    def no_fight(self, at_least):
        drift = {}
        for actions in self.applied():
            for one, action in actions.items():
                if action != "unchanged":
                    drift[one] = [*drift.get(one, []), action]
        same("what Flux had to change", drift, self.changed)
        for name, end in self.ends.items():
            rounds, seconds = self.through[name]
            if rounds < at_least:
                raise Failure(f"{name}: applied only {rounds} times through the rollout")
            what = what_a_rollout_needs(self.cluster.history, self.mark, name, end, f"Deployment/prod/{name}" in self.changed)
            print(f"{self.cluster.name}: {name} {end} in {seconds:.0f} s, applied {rounds} times meanwhile, {what}")
        nobody_shares_a_field(self.cluster.history, FLUX)

    def flux_said(self, *allowed):
        """Of Kustomization `apps`, while it went on: its Ready was true, or unknown, or false for the reasons allowed; after a commit it waits for what it depends on."""
        said = {(status, reason) for status, reason, _ in self.told}
        expected = {("True", "ReconciliationSucceeded"), ("Unknown", "Progressing"), *(("False", reason) for reason in ("DependencyNotReady", *allowed))}
        same("what Flux said", said - expected, set())
        print(f"{self.cluster.name}: Flux said {sorted(said)}")


def without_flux(cluster, namespace, *words):
    """The backend once more, applied by kubectl every two seconds through a rollout."""
    place, history, rounds = f"{cluster.plane.dir}/{namespace}", History(cluster, namespace), []
    cluster.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    shutil.copytree(f"{cluster.repository.place}/examples/gitops-istio/apps/backend", place)

    def edit(file, old, new):
        with open(f"{place}/{file}") as handle:
            text, found = re.subn(old, new, handle.read())
        if not found:
            raise Failure(f"{file} has no {old}")
        with open(f"{place}/{file}", "w") as handle:
            handle.write(text)

    def apply():
        rounds.append(cluster.kubectl("apply", *words, "-k", place))
        return not cluster.plane.stop.wait(2)

    edit("kustomization.yaml", "namespace: prod", f"namespace: {namespace}")
    cluster.wait(f"the backend of {namespace} is Initialized", 300, lambda: apply() and phase_in(history, "backend") == "Initialized")
    mark = history.now()
    edit("deployment.yaml", r"backend:1\.\S+", "backend:1.5.0")
    rounds.clear()
    cluster.wait(f"the backend of {namespace} is Succeeded", 900, lambda: apply() and phase_in(history, "backend") == "Succeeded")
    if len(rounds) < 5:
        raise Failure(f"{namespace}: applied only {len(rounds)} times")
    what = what_a_rollout_needs(history, mark, "backend", "Succeeded", True)
    nobody_shares_a_field(history, "kubectl", "kubectl-client-side-apply")
    return f"{cluster.name}: backend by kubectl {' '.join(('apply', *words))}: Succeeded, applied {len(rounds)} times meanwhile, {what}"


def initialized(cluster):
    """Everything is applied in its order, and both Canaries are Initialized."""
    cluster.start_flagger()
    cluster.wait("both Canaries are Initialized", 300, lambda: [phase(cluster, name) for name in CONFIGS] == ["Initialized"] * 2)
    everything_ready(cluster)
    objects = cluster.history.living()
    missing = [form.format(name) for name in CONFIGS for form in (*MADE, *GIVEN) if form.format(name) not in objects]
    same("what is not there", missing, [])
    same("replicas of the idle targets", [objects[f"Deployment/{name}"]["spec"]["replicas"] for name in CONFIGS], [0, 0])
    nobody_shares_a_field(cluster.history, FLUX)


def everything_ready(cluster, seconds=300):
    revision = f"main@sha1:{cluster.repository.head()}"

    def test():
        found = cluster.api.get(f"{KUSTOMIZE}/kustomizations")["items"]
        return all(one.get("status", {}).get("lastAppliedRevision") == revision for one in found) and all(
            state[0] == "True" for state in cluster.kustomizations().values())
    cluster.wait("all Kustomizations are Ready", seconds, test)


def quick(repository, apps):
    """What is changed in Flux's copy, beside what the test commits."""
    repository.replace(apps, r"^  interval: 10m$", "  interval: 2s")
    repository.replace(apps, r"^  retryInterval: 1m$", "  retryInterval: 2s")
    repository.replace("examples/gitops-istio/apps/backend/canary.yaml", r"^    interval: 30s$", "    interval: 10s")
    repository.replace("examples/gitops-istio/flagger/flagger.yaml", "https://chat", "http://chat")


def pruned(cluster, name, *edits):
    """Taken out of git, it goes with all that was made for it, and nothing else does."""
    before = set(cluster.history.living())
    gone = {form.format(name) for form in (*MADE, *GIVEN)} | set(CONFIGS[name])
    for edit in edits:
        cluster.repository.replace(*edit)
    cluster.repository.commit(f"{name} goes")
    other = next(one for one in CONFIGS if one != name)
    mark = cluster.history.now()
    cluster.wait(f"what was {name} is gone", 300, lambda: not gone & set(cluster.history.living()))
    everything_ready(cluster)
    same("what went", before - set(cluster.history.living()), gone)
    same(f"{other} meanwhile", {one: len(cluster.history.since(mark, one)) for one in (form.format(other) for form in (*MADE, *GIVEN))},
         {form.format(other): 1 for form in (*MADE, *GIVEN)})


def gitops_istio(cluster):
    repository, flux = cluster.repository, "examples/gitops-istio"
    quick(repository, f"{flux}/cluster/apps.yaml")
    repository.commit("what the cluster is made of")
    for file in sorted(os.listdir(f"{repository.place}/{flux}/cluster")):
        with open(f"{repository.place}/{flux}/cluster/{file}") as text:
            cluster.apply(text.read())
    initialized(cluster)

    cluster.elsewhere.bad["frontend"] = ("istio_requests_total", 69.17)
    rollouts = Rollouts(cluster, {"backend": "Succeeded", "frontend": "Failed"},
                        ("Deployment/prod/backend", f"{flux}/apps/backend/deployment.yaml", r"backend:1\.4\.0", "backend:1.4.1"),
                        ("Deployment/prod/frontend", f"{flux}/apps/frontend/deployment.yaml", r"frontend:1\.4\.0", "frontend:1.4.1"))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        plain = [pool.submit(without_flux, cluster, "client-side"), pool.submit(without_flux, cluster, "server-side", "--server-side")]
        rollouts.follow(900, busy=True)
    # What is committed after a rollback is applied as well; then Flux says which release it was, and tries again and again.
    last = cluster.wait("Flux says which release was rolled back", 120, lambda: [state for state in [cluster.kustomizations()["apps"]] if state[1] == "HealthCheckFailed"])
    rounds = len(rollouts.applied())
    cluster.wait("Flux has tried three times more", 120, lambda: len(rollouts.applied()) >= rounds + 3)
    rollouts.no_fight(at_least=5)
    # It waits (`wait: true`), begins again because of a commit, or names the release that was rolled back.
    rollouts.flux_said("HealthCheckCanceled", "HealthCheckFailed")
    failed = {message for _, reason, message in rollouts.told | set(last) if reason == "HealthCheckFailed"}
    same("what Flux names as failed", [one for one in failed if "Canary/prod/frontend status: 'Failed'" not in one or "backend" in one], [])
    same("the phases after that", [phase(cluster, name) for name in ("backend", "frontend")], ["Succeeded", "Failed"])

    for one in plain:
        print(one.result())

    pruned(cluster, "frontend", (f"{flux}/apps/kustomization.yaml", "^- frontend\n", ""))


def gitops_flux_bootstrap(cluster):
    repository, flux = cluster.repository, "examples/gitops-flux-bootstrap"
    quick(repository, f"{flux}/cluster/4-apps.yaml")
    repository.replace(f"{flux}/flagger/flagger.yaml", "^  values:$", "  values:\n    kstatusConditions: false")
    repository.commit("what the cluster is made of")
    # What `flux bootstrap --path=` makes.
    cluster.apply(f"""
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {{name: flux-system, namespace: flux-system}}
spec: {{interval: 1m, url: "https://git.example.com/platform/fleet.git", ref: {{branch: main}}}}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: flux-system, namespace: flux-system}}
spec: {{interval: 10s, path: ./{flux}/cluster, prune: true, sourceRef: {{kind: GitRepository, name: flux-system}}}}
""")
    initialized(cluster)
    apps = "examples/gitops-istio/apps"
    cluster.elsewhere.bad["backend"] = ("istio_requests_total", 69.17)
    rollouts = Rollouts(cluster, {"frontend": "Succeeded", "backend": "Failed"},
                        ("Deployment/prod/frontend", f"{apps}/frontend/deployment.yaml", r"frontend:1\.4\.0", "frontend:1.4.1"),
                        ("ConfigMap/prod/backend", f"{apps}/backend/config.yaml", "reserveFor: 15m", "reserveFor: 5m"))
    rollouts.follow(900)
    everything_ready(cluster)
    rollouts.no_fight(at_least=5)
    rollouts.flux_said()

    pruned(cluster, "backend", (f"{apps}/kustomization.yaml", "^- backend\n", ""))


EXAMPLES = {"gitops-istio": (gitops_istio, ["CancelHealthCheckOnNewRevision"]), "gitops-flux-bootstrap": (gitops_flux_bootstrap, [])}


def run(name, binary, keep):
    """One example from nothing to the end; returns what went wrong."""
    what, gates = EXAMPLES[name]
    cluster, begun, bad = Cluster(name, binary, gates), time.monotonic(), None
    try:
        what(cluster.start())
        refused = permitted.refusals(f"{cluster.plane.dir}/flagger.log")
        same("what flagger was not permitted", refused, [])
        rounds = {one: len(cluster.applied(one)) for one in cluster.kustomizations()}
        print(f"{name}: passed in {time.monotonic() - begun:.0f} s; applied {rounds}")
    except Exception as error:
        bad = f"{name}: {error if isinstance(error, Failure) else repr(error)}; logs in {cluster.plane.dir}"
        if not isinstance(error, Failure):
            import traceback
            traceback.print_exc()
    finally:
        cluster.close(keep=keep or bool(bad))
    return bad


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("bin")
    ap.add_argument("examples", nargs="*", metavar="EXAMPLE")
    ap.add_argument("--keep", action="store_true", help="leave the clusters' directories, with their logs")
    a = ap.parse_args()
    names = a.examples or list(EXAMPLES)
    if not shutil.which("kubectl") or not shutil.which("git"):
        sys.exit("kubectl and git are needed")
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        bad = [one for one in pool.map(lambda name: run(name, a.bin, a.keep), names) if one]
    if bad:
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main()
