#!/usr/bin/env python3
"""Sends the scenarios of this folder to a real API server and compares its answers with the recorded ones, or records them anew.

    CONFORMANCE=../shared/conformance KUBE_BIN=DIR python3 tests/differential/run.py [--record] [FILE...]

The lab is held to the same recordings by `cargo test -p lab --test differential`; together they show that both answer alike.
Starts a control plane of its own (etcd, API server, garbage collector, namespace controller) and ends it.
"""
import os, subprocess, sys, time
import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.abspath(os.environ.get("CONFORMANCE", os.path.join(ROOT, "../shared/conformance"))))
from controlplane import ControlPlane  # noqa: E402

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def established(cp, name):
    # Both are null until the server has looked at the definition.
    conditions = (cp.api.get(f"{DEFINITIONS}/{name}").get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def main():
    names = [a for a in sys.argv[1:] if a != "--record"]
    mode = "record" if "--record" in sys.argv[1:] else "compare"
    # With the features of the whole workspace, as the tests are built.
    subprocess.run(["cargo", "build", "--quiet", "--workspace", "--example", "differential"], cwd=ROOT, check=True)
    program = os.path.join(ROOT, "target/debug/examples/differential")
    cp = ControlPlane().start(controllers=None)
    try:
        # The controllers see our kinds when they start: the garbage collector looks for new ones every 30 seconds only.
        with open(f"{ROOT}/artifacts/flagger/crd.yaml") as f:
            for definition in yaml.safe_load_all(f):
                cp.api.post(DEFINITIONS, definition)
                end = time.time() + 30
                while not established(cp, definition["metadata"]["name"]):
                    if time.time() > end:
                        sys.exit(f"{definition['metadata']['name']} is not established after 30 s")
                    time.sleep(0.1)
        cp.start_controllers("garbage-collector-controller,namespace-controller")
        return subprocess.run([program, mode, cp.kubeconfig("admin"), *names], cwd=ROOT).returncode
    finally:
        cp.close()


if __name__ == "__main__":
    sys.exit(main())
