#!/usr/bin/env python3
"""The conformance under the permissions of the chart, and nothing else.

    HELM=... CONFORMANCE=DIR KUBE_BIN=DIR FLAGGER_CRDS=artifacts/flagger/crd.yaml python3 tests/charts/permitted.py compare [options of the kit] BIN SCENARIO...
        the kit's own comparison; the controller has the arguments, and a token of the service account, of a release with `providers` empty
    ... python3 tests/charts/permitted.py providers BIN [SCENARIO...]
        for each scenario a release of its own: `namespace` is the scenario's, and `providers` the one that its Canary names. Without scenarios: one for
        each provider that the chart has rules for; a provider without a scenario is an error

In the second form a provider has only its own rules, in a Role; several controllers run side by side, each in its namespace.
"""
import importlib.util, json, os, subprocess, sys, time
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
KIT = os.path.abspath(os.environ.get("CONFORMANCE") or os.path.join(HERE, "../../../shared/conformance"))
HELM = os.environ.get("HELM") or os.path.expanduser("~/.cache/helm/helm")
CHART = os.path.join(os.path.dirname(os.path.dirname(HERE)), "charts/flagger")
sys.path.insert(0, KIT)
spec = importlib.util.spec_from_file_location("kit", f"{KIT}/run.py")
kit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kit)

PLACE = "flagger-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def rendered(release, fakes, **values):
    """The release's objects, for the kit's fakes and as quick as the kit wants it."""
    values = {"metricsServer": fakes.url, "includeLabelPrefix": "app.kubernetes.io", "eventWebhook": f"{fakes.url}/hook/any/events", "kubeconfigQPS": 1000,
              "kubeconfigBurst": 2000, "kstatusConditions": False, **values}
    arguments = [word for key, value in values.items() for word in ("--set-json", f"{key}={json.dumps(value)}")]
    done = subprocess.run([HELM, "template", release, CHART, "-n", PLACE, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"helm template: {done.stderr}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def install(cp, objects):
    """Account, roles and bindings of a release; returns the kubeconfig of the account."""
    if cp.api.get(f"/api/v1/namespaces/{PLACE}", ok404=True) is None:
        cp.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    for one in objects:
        kind, namespace = one["kind"], one["metadata"].get("namespace")
        if kind == "ServiceAccount":
            account = one["metadata"]["name"]
            cp.api.post(f"/api/v1/namespaces/{PLACE}/serviceaccounts", one)
        elif kind in ("Role", "RoleBinding"):
            cp.api.post(f"{RBAC}/namespaces/{namespace}/{kind.lower()}s", one)
        elif kind in ("ClusterRole", "ClusterRoleBinding"):
            cp.api.post(f"{RBAC}/{kind.lower()}s", one)
    return kubeconfig(cp, PLACE, account)


def kubeconfig(cp, namespace, account):
    """Of a service account; returns the file."""
    token = cp.api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}})
    path = f"{cp.dir}/{account}.account.kubeconfig"
    with open(path, "w") as file:
        yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": cp.url, "insecure-skip-tls-verify": True}}],
                        "users": [{"name": "u", "user": {"token": token["status"]["token"]}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}, file)
    return path


def command(binary, objects, kubeconfig, extra=()):
    """As the Deployment has it, but for what a pod would give it."""
    deployment = next(one for one in objects if one["kind"] == "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["command"][1:]
    return [binary, *arguments, f"-kubeconfig={kubeconfig}", f"-port={kit.free_port()}", "-control-loop-interval=1s", *extra]


def refusals(path):
    with open(path) as file:
        return sorted({line.strip() for line in file if "forbidden" in line.lower() or "not permitted" in line.lower()})


def compare():
    """The kit's main, with other permissions. It starts the controller at once after `grant`."""
    state = {}

    def flagger_args(binary, cp, fakes, extra=()):
        objects = rendered("flagger", fakes, meshProvider="istio", providers=[])
        state["log"] = f"{cp.dir}/flagger.log"
        return command(binary, objects, install(cp, objects), extra)

    close = kit.ControlPlane.close

    def closing(cp, keep=False):
        state["refusals"] = refusals(state["log"]) if "log" in state else []
        close(cp, keep)

    kit.grant, kit.flagger_args, kit.ControlPlane.close = (lambda cp, rules=None: None), flagger_args, closing
    try:
        kit.main()
    finally:
        for line in state.get("refusals", []):
            print("not permitted:", line)
        if state.get("refusals"):
            sys.exit(1)


def named_by(path):
    """The provider that a scenario's Canary names."""
    with open(path) as file:
        objects = yaml.safe_load(file.read().replace("${NS}", "ns").replace("${FAKES}", "http://fakes"))["objects"]
    return next((one["spec"]["provider"] for one in objects if one["kind"] == "Canary" and one["spec"].get("provider")), "istio")


def one_for_each_provider():
    with open(f"{CHART}/files/rules.yaml") as file:
        rules = yaml.safe_load(file)["providers"]
    found = {}
    # Rather a promotion than something else, and rather one that is named after the provider.
    for path in sorted(kit.scenario_files([]), key=lambda path: (not path.endswith("-promote.yaml"), named_by(path).split(":")[0] not in path)):
        found.setdefault(named_by(path), path)
    # Another name for the same rules (`gatewayapi`) needs none of its own.
    missing = [name for name in rules if name not in found and not any(rules[name] == rules[other] for other in rules if other in found)]
    if missing:
        sys.exit(f"no scenario for {', '.join(missing)}")
    return [found[name] for name in rules if name in found]


def providers(binary, names):
    cp, bad = kit.ControlPlane().start(controllers=None), 0
    try:
        kit.install_crds(cp)
        cp.start_controllers()
        fakes = kit.Fakes()
        paths = list(kit.scenario_files(names)) if names else one_for_each_provider()
        runs = [kit.Run(cp, fakes, path) for path in paths]
        post = cp.api.post
        # The namespaces are there before the scenarios, because the roles are in them.
        cp.api.post = lambda path, body: None if path == "/api/v1/namespaces" else post(path, body)
        kit.watch_everything(cp, runs)
        for run in runs:
            post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": run.ns}})
        post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
        for run, path in zip(runs, paths):
            provider = named_by(path)
            objects = rendered(f"flagger-{run.ns}", fakes, meshProvider=provider, providers=[provider], namespace=run.ns)
            cp.spawn(f"flagger-{run.ns}", command(binary, objects, install(cp, objects)))
        for run in runs:
            run.start()
        for run in runs:
            run.join(600)
        for run in runs:
            lines = [f"did not finish: {run.failed}"] if run.failed or run.is_alive() else []
            lines += refusals(f"{cp.dir}/flagger-{run.ns}.log")
            bad += bool(lines)
            print(f"{run.name} ({named_by(paths[runs.index(run)])}): {'; '.join(lines) or 'passed under its own rules alone'}")
        cp.api.post = post
    finally:
        cp.close()
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["providers"]:
        sys.exit(providers(sys.argv[2], sys.argv[3:]))
    compare()
