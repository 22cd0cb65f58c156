"""The part of run.py that needs a real API server: everything rendered is applied with strict validation of fields, and Helm installs, upgrades, uninstalls.

Starts a control plane of its own (CONFORMANCE, KUBE_BIN) with simulated nodes: pods become ready, nothing runs in them.
"""
import json, os, shlex, subprocess, sys, tempfile, time
import yaml

import cases

KIT = os.path.abspath(os.environ.get("CONFORMANCE") or os.path.join(os.path.dirname(__file__), "../../../shared/conformance"))
sys.path.insert(0, KIT)
from controlplane import ControlPlane, permissive_crds  # noqa: E402

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

# Kinds of others that the charts make and the conformance does not know.
FURTHER = [("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", "Namespaced"), ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", "Namespaced"),
           ("policy.linkerd.io", "v1alpha1", "AuthorizationPolicy", "authorizationpolicies", "Namespaced"),
           ("networking.istio.io", "v1beta1", "Gateway", "gateways", "Namespaced"), ("kuma.io", "v1alpha1", "Mesh", "meshes", "Cluster")]


def further():
    for group, version, kind, plural, scope in FURTHER:
        yield {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
               "metadata": {"name": f"{plural}.{group}"},
               "spec": {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": kind + "List"},
                        "versions": [{"name": version, "served": True, "storage": True,
                                      "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def define(cp, definitions):
    for definition in definitions:
        cp.api.apply(f"{DEFINITIONS}/{definition['metadata']['name']}", definition)
        wait(lambda: established(cp, definition["metadata"]["name"]), definition["metadata"]["name"])


def established(cp, name):
    conditions = (cp.api.get(f"{DEFINITIONS}/{name}").get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def wait(condition, what, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise RuntimeError(f"{what}: not after {seconds} s")
        time.sleep(0.1)


class Server:
    """Applies objects, by what the server itself says about their kinds."""

    def __init__(self, cp):
        self.cp, self.known = cp, {}

    def path(self, one, namespace):
        version = one["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if version not in self.known:
            self.known[version] = {r["kind"]: r for r in self.cp.api.get(root)["resources"] if "/" not in r["name"]}
        resource = self.known[version][one["kind"]]
        where = f"/namespaces/{one['metadata'].get('namespace', namespace)}" if resource["namespaced"] else ""
        return f"{root}{where}/{resource['name']}/{one['metadata']['name']}"

    def apply(self, one, namespace, dry=False):
        """None, or why it was refused."""
        parameters = {"fieldManager": "charts", "force": "true", "fieldValidation": "Strict", **({"dryRun": "All"} if dry else {})}
        answer = self.cp.api.s.patch(self.cp.url + self.path(one, namespace), params=parameters, data=yaml.safe_dump(one), headers={"Content-Type": "application/apply-patch+yaml"})
        return None if answer.status_code < 300 else f"{answer.status_code} {answer.json().get('message')}"

    def namespace(self, name):
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "")


def run(outputs, charts):
    cp = ControlPlane().start(controllers=None)
    try:
        with open(f"{charts.ROOT}/artifacts/flagger/crd.yaml") as file:
            own = charts.documents(file.read())
        define(cp, [*permissive_crds(), *further(), *own])
        cp.start_controllers()
        every_output(cp, outputs, charts)
        artifacts(cp, charts)
        releases(cp, charts)
    finally:
        cp.close()


def every_output(cp, outputs, charts):
    """Each output of a chart by itself, as if nothing were there; the overlays one after the other, and then away with them."""
    server, count = Server(cp), 0
    for _, objects in outputs:
        for one in objects:
            if one["kind"] == "Namespace" or one["metadata"].get("namespace"):
                server.namespace(one["metadata"].get("namespace") or one["metadata"]["name"])
    server.namespace("ns")
    for key, objects in outputs:
        for one in objects:
            # Not made up for the server, but for the template engine.
            if key.startswith("{"):
                continue
            overlay = key.startswith("kustomize/")
            refused = server.apply(one, "ns", dry=not overlay)
            count += 1
            if refused and "nodeAffinity.x" not in refused:
                charts.fail(f"{key}: {one['kind']}/{one['metadata']['name']}: {refused}")
    for key, objects in outputs:
        for one in objects if key.startswith("kustomize/") else []:
            if one["kind"] not in ("CustomResourceDefinition", "Namespace"):
                cp.api.delete(server.path(one, "ns"))
    print(f"{count} objects of {len(outputs)} outputs are taken by the API server, no field of them unknown")


def artifacts(cp, charts):
    done = subprocess.run(["kubectl", "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", f"{charts.ROOT}/artifacts/flagger"], capture_output=True, text=True,
                          env={**os.environ, "KUBECONFIG": f"{cp.dir}/admin.kubeconfig"})
    if done.returncode:
        charts.fail(f"artifacts/flagger: {done.stderr}")
    wait(lambda: (cp.api.get("/apis/apps/v1/namespaces/default/deployments/flagger").get("status") or {}).get("readyReplicas"), "artifacts/flagger")
    for kind in ("clusterroles", "clusterrolebindings"):
        cp.api.delete(f"/apis/rbac.authorization.k8s.io/v1/{kind}/flagger")


def releases(cp, charts):
    env = {**charts.ENV, "KUBECONFIG": f"{cp.dir}/admin.kubeconfig"}

    def helm(words, title=None):
        done = charts.helm(*words, env=env)
        if done.returncode:
            charts.fail(f"{title or ' '.join(words)}: {done.stdout}{done.stderr}")
        return done

    def deployment(namespace, name):
        return cp.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", ok404=True)

    documents(helm, charts)
    upgrades(helm, deployment, charts)
    from_flaggers_own_chart(helm, deployment, charts)
    definitions(cp, helm, charts)
    print("releases installed, upgraded and uninstalled by helm")


def documents(helm, charts):
    """The commands of the documents, as they stand there but for the place of the chart."""
    for title, name, command, _ in cases.DOCUMENTS:
        words = shlex.split(command.replace("CHART", charts.chart(name)))
        # Namespaces are made beforehand in the documents; to wait is what their next command does.
        helm([*words, "--create-namespace", "--wait", "--timeout", "60s"], title)
        if name == "flagger" and "istio-system" in words:
            continue
        if title == "S003-17":
            helm(["uninstall", "flagger", "-n", "ingress-nginx", "--wait"])
    helm(["uninstall", "flagger", "-n", "istio-system", "--wait"])


def upgrades(helm, deployment, charts):
    """One release through several files of values: nothing that cannot be changed is changed."""
    chart, seen = charts.chart("flagger"), set()
    steps = [[], ["-f", f"{charts.HERE}/values/flagger-nginx.yaml"], ["-f", f"{charts.HERE}/values/flagger-istio.yaml"], ["--set", "namespace=shop"],
             ["-f", f"{charts.HERE}/values/flagger-linkerd.yaml"], ["--set", "crd.create=true"], ["--set", "providers={nginx}"]]
    helm(["install", "shop", charts.chart("podinfo"), "-n", "shop", "--create-namespace", "-f", f"{charts.HERE}/values/podinfo-canary.yaml"])
    helm(["install", "viz", charts.chart("loadtester"), "-n", "linkerd-viz", "--create-namespace", "-f", f"{charts.HERE}/values/loadtester-cluster.yaml"])
    for step in steps:
        helm(["upgrade", "-i", "flagger", chart, "-n", "flagger-system", "--create-namespace", "--wait", "--timeout", "60s", *step])
        found = deployment("flagger-system", "flagger") or {}
        seen.add(json.dumps([found["metadata"]["uid"], found["spec"]["selector"]]))
    if len(seen) != 1:
        charts.fail(f"an upgrade made the Deployment anew: {seen}")
    helm(["uninstall", "flagger", "-n", "flagger-system", "--wait"])


OLD = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: flagger
  namespace: {{ .Release.Namespace }}
  labels: &labels {app.kubernetes.io/name: flagger, app.kubernetes.io/instance: flagger}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector: {matchLabels: *labels}
  template:
    metadata: {labels: *labels}
    spec:
      serviceAccountName: flagger
      containers:
      - name: flagger
        image: ghcr.io/fluxcd/flagger:1.44.0
        ports: [{name: http, containerPort: 8080}]
        command: [./flagger, -log-level=info, "-metrics-server=http://prometheus:9090", -enable-config-tracking=true, -slack-user=flagger]
        livenessProbe: &probe {exec: {command: [wget, --quiet, --tries=1, --timeout=4, --spider, "http://localhost:8080/healthz"]}, timeoutSeconds: 5}
        readinessProbe: *probe
"""


def from_flaggers_own_chart(helm, deployment, charts):
    """A release of a chart that makes what Flagger's makes (operations notes, 6.2) is upgraded to ours: the same Deployment goes on."""
    with tempfile.TemporaryDirectory() as old:
        os.mkdir(f"{old}/templates")
        with open(f"{old}/Chart.yaml", "w") as file:
            file.write("apiVersion: v1\nname: flagger\nversion: 1.44.0\n")
        with open(f"{old}/templates/deployment.yaml", "w") as file:
            file.write(OLD)
        with open(f"{charts.chart('flagger')}/values.yaml") as file:
            values = {key: value for key, value in yaml.safe_load(file).items() if key not in ("providers", "kstatusConditions")}
        with open(f"{old}/values.yaml", "w") as file:
            yaml.safe_dump(values, file)
        helm(["install", "flagger", old, "-n", "flagger-system"])
    before = deployment("flagger-system", "flagger")
    helm(["upgrade", "flagger", charts.chart("flagger"), "-n", "flagger-system", "--reuse-values", "--set", "image.repository=flagger", "--set", "image.tag=1.44.0",
          "--wait", "--timeout", "60s"], "upgrade from Flagger's own chart")
    after = deployment("flagger-system", "flagger")
    command = "spec|template|spec|containers|0|command"
    if before["metadata"]["uid"] != after["metadata"]["uid"] or charts.at(before, command) != charts.at(after, command):
        charts.fail("the upgrade from Flagger's own chart changed more than the image")
    helm(["uninstall", "flagger", "-n", "flagger-system", "--wait"])


def definitions(cp, helm, charts):
    """crd.create=true with --skip-crds makes the definitions, upgrades keep them, and so does the end of the release."""
    names = ["canaries", "metrictemplates", "alertproviders"]
    helm(["uninstall", "shop", "-n", "shop"])
    for name in names:
        cp.api.delete(f"{DEFINITIONS}/{name}.flagger.app")
    wait(lambda: all(cp.api.get(f"{DEFINITIONS}/{name}.flagger.app", ok404=True) is None for name in names), "the definitions go")
    for words in (["install", "--skip-crds"], ["upgrade"]):
        helm([words[0], "flagger", charts.chart("flagger"), "-n", "flagger-system", "--set", "crd.create=true", "--set-json", "podAnnotations={\"step\":\"%s\"}" % words[0], *words[1:]])
    helm(["uninstall", "flagger", "-n", "flagger-system"])
    for name in names:
        wait(lambda: established(cp, f"{name}.flagger.app"), name)
