#!/usr/bin/env python3
"""The benchmark on a real control plane: etcd, kube-apiserver and kube-controller-manager on loopback, nodes simulated.

    CONFORMANCE=../shared/conformance KUBE_BIN=DIR FLAGGER_CRDS=artifacts/flagger/crd.yaml python3 tests/bench/on_control_plane.py target/release/bench [options of bench]

Starts the control plane of the conformance kit with its audit log, and the benchmark on it; whatever else it is given goes to the benchmark
(-n 1000, --flagger BIN, --reference BIN, --json FILE). With --play-nodes there is no kube-controller-manager: the benchmark makes Deployments ready.
"""
import os, subprocess, sys

sys.path.insert(0, os.path.abspath(os.environ.get("CONFORMANCE", "../shared/conformance")))
import run as kit  # noqa: E402
from controlplane import ControlPlane  # noqa: E402


def main():
    bench, *options = sys.argv[1:] or sys.exit(__doc__)
    cp = ControlPlane(audit=True).start(controllers=None)
    try:
        kit.install_crds(cp)
        if "--play-nodes" not in options:
            cp.start_controllers()
        kit.grant(cp)
        code = subprocess.run([bench, "--kubeconfig", cp.kubeconfig("admin"), "--controller-kubeconfig", cp.kubeconfig("flagger"),
                               "--audit-log", f"{cp.dir}/audit.log", "--server-pid", str(cp.procs["kube-apiserver"].pid), *options]).returncode
    finally:
        cp.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
