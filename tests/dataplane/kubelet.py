"""The kit's control plane with pods that run: each is a process of `traffic serve` at an address of its own.

In place of the kit's simulated node. A pod is bound to the node, its process started (the version is the image's tag, the share of errors the variable FAILING),
and the pod is Ready when its readiness path answers. A pod that is deleted gets SIGTERM after its `preStop.sleep`, and its grace period to end what it has begun;
only then the object goes. Whoever routes by Endpoints has learnt of it long before that, or not: that is what the test is about.
"""
import signal, subprocess, threading, time
import requests
from controlplane import ControlPlane


class Pods(ControlPlane):
    def __init__(self, traffic, **rest):
        super().__init__(**rest)
        self.traffic, self.known, self.number, self.lock = traffic, {}, 0, threading.Lock()

    def on_pod(self, typ, pod):
        uid = pod["metadata"]["uid"]
        with self.lock:
            known = self.known.setdefault(uid, {"gone": threading.Event()})
            if "leaving" in known or typ == "DELETED" and "thread" not in known:
                return
            if typ == "DELETED" or pod["metadata"].get("deletionTimestamp"):
                known["leaving"] = True
                known["gone"].set()
                work = self.end
            elif "thread" not in known:
                work = self.run
            else:
                return
            before = known.get("thread")
            known["thread"] = threading.Thread(target=self.guarded, args=(work, pod, known, before), daemon=True)
            known["thread"].start()

    def guarded(self, work, pod, known, before):
        """One after the other: a pod ends when it has begun."""
        if before:
            before.join()
        try:
            work(pod, known)
        except Exception as error:
            if not self.stop.is_set():
                print(f"kubelet: {pod['metadata']['name']}: {error}", flush=True)

    def run(self, pod, known):
        meta, container = pod["metadata"], pod["spec"]["containers"][0]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.api.post(f"{path}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": {"kind": "Node", "name": "sim-1"}})
        with self.lock:
            self.number += 1
            address = f"10.244.{self.number // 250}.{self.number % 250 + 1}"
        probe = container["readinessProbe"]["httpGet"]
        failing = next((one["value"] for one in container.get("env", []) if one["name"] == "FAILING"), "0")
        known["process"] = self.spawn(f"pod-{meta['name']}", [self.traffic, "serve", f"{address}:{probe['port']}", container["image"].rpartition(":")[2], meta["name"], failing])
        self.report(path, address, "False")
        while not known["gone"].wait(0.05):
            try:
                if requests.get(f"http://{address}:{probe['port']}{probe['path']}", timeout=1).ok:
                    return self.report(path, address, "True")
            except requests.RequestException:
                pass

    def report(self, path, address, ready):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        conditions = [{"type": kind, "status": status, "lastTransitionTime": now} for kind, status in
                      (("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", ready), ("Ready", ready))]
        self.api.req("PATCH", f"{path}/status", {"status": {"phase": "Running", "conditions": conditions, "podIP": address, "podIPs": [{"ip": address}], "startTime": now}},
                     "application/merge-patch+json", ok404=True)

    def end(self, pod, known):
        meta, process = pod["metadata"], known.get("process")
        deadline = time.monotonic() + meta.get("deletionGracePeriodSeconds", 30)
        if process:
            hook = (pod["spec"]["containers"][0].get("lifecycle") or {}).get("preStop") or {}
            self.stop.wait((hook.get("sleep") or {}).get("seconds", 0))
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        self.api.req("DELETE", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}, ok404=True)
