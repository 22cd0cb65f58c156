#!/usr/bin/env python3
"""Counts what a controller asks of a real API server: two idle minutes, and one five-step rollout (Deployment, HPA, Istio).

    CONFORMANCE=../shared/conformance KUBE_BIN=DIR FLAGGER_CRDS=artifacts/flagger/crd.yaml python3 tests/cost/measure.py target/dist/flagger [--idle SECONDS]

Uses the control plane and the fakes of the conformance kit; the figures come from the API server's own audit log. Fails when a budget is broken:
40 writes (events included) and 10 reads beside watches for the rollout, nothing but leases and watch renewals while idle.
"""
import argparse, collections, json, os, sys, time

KIT = os.path.abspath(os.environ.get("CONFORMANCE", "../shared/conformance"))
sys.path.insert(0, KIT)
import run as kit  # noqa: E402
from controlplane import ControlPlane  # noqa: E402

MAX_WRITES, MAX_READS = 40, 10
NS = "cost"
LABELS = {"app": "podinfo"}


def objects():
    pod = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "app", "image": "registry.local/podinfo:6.0.0", "ports": [{"containerPort": 9898}]}]}}
    yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo", "namespace": NS},
           "spec": {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": pod}}
    yield {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "podinfo", "namespace": NS},
           "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}, "minReplicas": 2, "maxReplicas": 4}}
    yield {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo", "namespace": NS}, "spec": {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        "autoscalerRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"},
        "service": {"port": 80, "targetPort": 9898},
        "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 10, "maxWeight": 50, "metrics": [
            {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
            {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}]}}}


def requests(cp, begin):
    """Requests of the user flagger since then, as (verb, resource); watches that were open before count when they end, so only their start does."""
    with open(f"{cp.dir}/audit.log") as f:
        for line in f:
            e = json.loads(line)
            if e["user"]["username"] == "flagger" and e["requestReceivedTimestamp"] >= begin and e["stage"] != "Panic":
                ref = e.get("objectRef") or {}
                yield e["auditID"], e["verb"], ref.get("resource", e["requestURI"]) + ("/" + ref["subresource"] if "subresource" in ref else "")


def count(cp, begin):
    seen = {id: (verb, resource) for id, verb, resource in requests(cp, begin)}
    return collections.Counter(seen.values())


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def phase(cp):
    return (cp.api.get(kit.kind_path("Canary", NS, "podinfo")).get("status") or {}).get("phase")


def wait(cp, wanted, seconds=180):
    end = time.time() + seconds
    while time.time() < end:
        if phase(cp) == wanted:
            return
        time.sleep(0.2)
    sys.exit(f"waited in vain for {wanted}, the phase is {phase(cp)}")


def show(title, counter):
    print(f"{title}: {sum(counter.values())}")
    for (verb, resource), n in sorted(counter.items()):
        print(f"  {n:4} {verb} {resource}")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("bin")
    ap.add_argument("--idle", type=int, default=120)
    a = ap.parse_args()
    cp = ControlPlane(audit=True).start(controllers=None)
    bad = []
    try:
        kit.install_crds(cp)
        cp.start_controllers()
        kit.grant(cp)
        fakes = kit.Fakes()
        # no rule: the fake Prometheus answers 100 to every query
        args = [x for x in kit.flagger_args(a.bin, cp, fakes) if not x.startswith("-event-webhook")]
        cp.spawn("flagger", args)
        cp.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
        begin = now()
        for o in objects():
            cp.api.post(kit.kind_path(o["kind"], NS), o)
        wait(cp, "Initialized")
        time.sleep(5)
        show("initialisation", count(cp, begin))

        begin = now()
        time.sleep(a.idle)
        idle = count(cp, begin)
        show(f"idle for {a.idle} s", idle)
        bad += [f"idle: {k}" for k in idle if k[0] != "watch" and k[1] != "leases"]

        begin = now()
        time.sleep(1.1)
        cp.api.req("PATCH", kit.kind_path("Deployment", NS, "podinfo"), {"spec": {"template": {"spec": {"containers": [
            {"name": "app", "image": "registry.local/podinfo:6.0.1"}]}}}}, "application/strategic-merge-patch+json")
        wait(cp, "Succeeded")
        time.sleep(5)
        rollout = count(cp, begin)
        show("a rollout of five steps", rollout)
        writes = sum(n for (verb, resource), n in rollout.items() if verb not in ("get", "list", "watch") and resource != "leases")
        reads = sum(n for (verb, resource), n in rollout.items() if verb in ("get", "list") and resource != "leases")
        print(f"writes {writes} (at most {MAX_WRITES}), reads {reads} (at most {MAX_READS})")
        bad += [f"{writes} writes"] * (writes > MAX_WRITES) + [f"{reads} reads"] * (reads > MAX_READS)
    finally:
        cp.close(keep=bool(bad))
    if bad:
        sys.exit("over budget: " + "; ".join(bad) + f"; kept {cp.dir}")
    print("within budget")


if __name__ == "__main__":
    main()
