#!/usr/bin/env python3
"""The charts and the Kustomize tree, rendered and applied.

    HELM=~/.cache/helm/helm python3 tests/charts/run.py                                  render only
    HELM=... CONFORMANCE=../shared/conformance KUBE_BIN=DIR python3 tests/charts/run.py --server    and apply it to a real API server

Renders every chart with its defaults, with each documented value (the tables in cases.py, which must name every value of values.schema.json), with the commands
of the documents and with the values files in values/; expects wrong values to be refused with their path; renders every overlay. With --server all of that is
applied with strict validation of fields, and Helm upgrades a release from one set of values to another, also one that the chart of Flagger has made.
Needs helm (tests/charts/helm/build.sh DIR), kubectl and PyYAML.
"""
import concurrent.futures, glob, json, os, re, shlex, subprocess, sys, tempfile
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HELM = os.environ.get("HELM") or os.path.expanduser("~/.cache/helm/helm")
sys.path.insert(0, HERE)
import cases  # noqa: E402

# A place of its own, so that nobody's repositories and plugins take part.
HOME = tempfile.TemporaryDirectory(prefix="helm-")
ENV = {**os.environ, **{f"HELM_{one}_HOME": f"{HOME.name}/{one.lower()}" for one in ("CACHE", "CONFIG", "DATA")}}
failures = []


def fail(text):
    failures.append(text)
    print("FAILED", text, flush=True)


def helm(*arguments, env=ENV, stdin=None):
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, env=env, input=stdin)


def chart(name):
    return f"{ROOT}/charts/{name}"


def settings(values):
    """The values as arguments of helm: texts as they are, the rest as JSON."""
    out = []
    for key, value in values.items():
        if isinstance(value, str):
            out += ["--set-string" if re.fullmatch(r"[0-9.]+|true|false|null|", value) else "--set", f"{key}={value}"]
        else:
            out += ["--set-json", f"{key}={json.dumps(value)}"]
    return out


def documents(text):
    return [one for one in yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if one]


def render(name, *arguments, release=None):
    """The rendered objects, or the error as text."""
    done = helm("template", release or cases.VALUES[name][0], chart(name), "-n", "ns", *arguments)
    return documents(done.stdout) if done.returncode == 0 else done.stderr.strip()


def find(objects, name):
    kind, _, name = name.partition("/")
    found = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found[0] if found else None


def at(value, path):
    for key in filter(None, path.split("|")):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def judge(what, objects, name, path, expected):
    if isinstance(objects, str):
        return fail(f"{what}: {objects}")
    found = at(find(objects, name), path)
    good = expected.test(found) if isinstance(expected, cases.Check) else found == expected
    if not good:
        fail(f"{what}: {name} {path}: expected {expected!r}, found {found!r}")


def leaves(schema, prefix=""):
    """Every documented value: what has a description of its own, as in docs/chart-values.md."""
    for key, value in schema.get("properties", {}).items():
        if "description" in value:
            yield prefix + key
        else:
            yield from leaves(value, prefix + key + ".")


def schema(name):
    with open(f"{chart(name)}/values.schema.json") as file:
        return json.load(file)


def every_value_has_a_row():
    for name, (_, rows) in cases.VALUES.items():
        used = {key.replace("\\.", ".") for row in rows for key in row[0]}
        for leaf in set(leaves(schema(name))) - {"global", "enabled"}:  # not ours
            if not any(key == leaf or key.startswith(leaf + ".") for key in used):
                fail(f"charts/{name}: {leaf} is in the schema, but has no row in cases.py")


def defaults_are_allowed_and_known():
    """What values.yaml has, the schema describes, so that no default is a value that nobody can look up."""
    def walk(name, values, described, prefix=""):
        for key, value in values.items():
            inner = described.get("properties", {}).get(key)
            if inner is None:
                fail(f"charts/{name}: {prefix}{key} is in values.yaml, but not in the schema")
            elif "description" not in inner and isinstance(value, dict):
                walk(name, value, inner, prefix + key + ".")
    for name in cases.VALUES:
        with open(f"{chart(name)}/values.yaml") as file:
            walk(name, yaml.safe_load(file), schema(name))


def the_chart_makes_what_the_manifests_have():
    """One source: the same rules, the same definitions, the same probes and ports as artifacts/."""
    objects = render("flagger", "--include-crds", "--set", "leaderElection.enabled=true")
    with open(f"{ROOT}/artifacts/flagger/account.yaml") as file:
        account = documents(file.read())
    with open(f"{ROOT}/artifacts/flagger/deployment.yaml") as file:
        plain = documents(file.read())[0]
    judge("one role", objects, "ClusterRole/flagger", "rules", find(account, "ClusterRole/flagger")["rules"])
    for key in ("ports", "livenessProbe", "readinessProbe", "startupProbe", "resources", "image", "imagePullPolicy"):
        judge("one Deployment", objects, cases.D, cases.BOX + key, at(plain, cases.BOX + key))
    with open(f"{ROOT}/artifacts/flagger/crd.yaml") as file:
        for definition in documents(file.read()):
            judge("one set of definitions", objects, f"CustomResourceDefinition/{definition['metadata']['name']}", "", definition)
    bundled = render("flagger", "--set", "prometheus.install=true")
    base = kustomized("base/prometheus")
    for key in ("image", "args", "livenessProbe", "readinessProbe", "resources", "ports"):
        judge("one Prometheus", bundled, cases.P, cases.BOX + key, at(find(base, cases.P), cases.BOX + key))
    judge("one Prometheus", bundled, "ClusterRole/flagger-prometheus", "rules", find(base, "ClusterRole/flagger-prometheus")["rules"])


def old_clusters_have_pod_security_policies():
    objects = render("flagger", "--set", "rbac.pspEnabled=true", "--api-versions", "policy/v1beta1/PodSecurityPolicy")
    judge("before Kubernetes 1.25", objects, "PodSecurityPolicy/flagger", "spec|privileged", False)
    judge("before Kubernetes 1.25", objects, "RoleBinding/flagger-psp", "roleRef|name", "flagger-psp")


def names_and_selectors_are_those_of_flagger():
    objects = render("flagger")
    own = {"app.kubernetes.io/name": "flagger", "app.kubernetes.io/instance": "flagger"}
    judge("selector", objects, cases.D, "spec|selector|matchLabels", own)
    judge("arguments", objects, cases.D, cases.BOX + "command", ["./flagger", "-log-level=info", "-metrics-server=http://prometheus:9090", "-enable-config-tracking=true", "-slack-user=flagger"])
    judge("labels", objects, cases.D, "metadata|labels", cases.includes({**own, "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/version": "1.44.0"}))
    judge("strategy", objects, cases.D, "spec|strategy", {"type": "Recreate"})
    judge("account", objects, cases.D, cases.POD + "serviceAccountName", "flagger")
    for release, name in (("x", "x-flagger"), ("my-flagger", "my-flagger"), ("a" * 53, "a" * 53 + "-flagger")):
        judge("name", render("flagger", release=release), f"Deployment/{name}", "metadata|name", name)
    everything = render("flagger", "--set-json", 'slack={"url":"http://s","channel":"c","proxy":"p"}', "--set-json", 'msteams={"url":"http://t","proxy":{"url":"q"}}', *settings({
        "meshProvider": "istio", "selectorLabels": "app", "namespace": "n", "leaderElection.enabled": True, "ingressAnnotationsPrefix": "i", "includeLabelPrefix": "l",
        "ingressClass": "c", "eventWebhook": "http://e", "kubeconfigQPS": 1, "kubeconfigBurst": 2, "controlplane.kubeconfig.secretName": "s", "threadiness": 3,
        "clusterName": "cl", "noCrossNamespaceRefs": True}))
    order = [one.split("=")[0] for one in at(find(everything, cases.D), cases.BOX + "command")]
    expected = ("./flagger -log-level -mesh-provider -metrics-server -selector-labels -enable-config-tracking -namespace -slack-url -slack-proxy-url -slack-user "
                "-slack-channel -msteams-url -msteams-proxy-url -enable-leader-election -leader-election-namespace -ingress-annotations-prefix -include-label-prefix "
                "-ingress-class -event-webhook -kubeconfig-qps -kubeconfig-burst -kubeconfig-service-mesh -threadiness -cluster-name -no-cross-namespace-refs").split()
    if order != expected:
        fail(f"order of the arguments: {order}")


def flags_of(program):
    """The flags of a program, from its own usage text; of the controller also from the page that is generated from its table. None: not built."""
    binary = f"{ROOT}/target/debug/{program}"
    if os.access(binary, os.X_OK):
        text = subprocess.run([binary, "-h"], capture_output=True, text=True).stderr
    elif program == "flagger":
        with open(f"{ROOT}/docs/flags.md") as file:
            text = file.read()
    else:
        (fail if os.environ.get("REQUIRE_HELM") else print)(f"left out: the arguments of {program} are not checked, because it is not built")
        return None
    return set(re.findall(r"^  -(\S+)", text, re.M)) or fail(f"{program} -h tells no flags")


def every_argument_is_a_flag(outputs):
    """Every -flag that a chart or an overlay renders is one of its program."""
    known = {f"./{program}": flags_of(program) for program in ("flagger", "loadtester")}
    for objects in outputs:
        for one in objects if isinstance(objects, list) else []:
            words = [*(at(one, cases.BOX + "command") or []), *(at(one, cases.BOX + "args") or [])]
            flags = known.get(words[0]) if words else None
            for argument in words[1:] if flags else []:
                if argument[1:].split("=")[0] not in flags:
                    fail(f"{argument} is not a flag of {words[0]}")


def kustomized(overlay, folder="kustomize"):
    done = subprocess.run(["kubectl", "kustomize", f"{ROOT}/{folder}/{overlay}"], capture_output=True, text=True)
    if done.returncode:
        return fail(f"{folder}/{overlay}: {done.stderr.strip()}") or []
    return documents(done.stdout)


# Overlay: namespace, provider, metrics server, and how many objects there are.
OVERLAYS = {
    "istio": ("istio-system", "istio", "http://prometheus:9090"),
    "linkerd": ("flagger-system", "gatewayapi:v1beta1", "http://prometheus.linkerd-viz:9090"),
    "appmesh": ("appmesh-system", "appmesh", "http://appmesh-prometheus:9090"),
    "kuma": ("kong-mesh-system", "kuma", "http://prometheus-server.mesh-observability:80"),
    "contour": ("projectcontour", "contour", "http://flagger-prometheus:9090"),
    "kubernetes": ("flagger-system", "kubernetes", "http://flagger-prometheus:9090"),
    "knative": ("flagger-system", "knative", "http://flagger-prometheus:9090"),
    "gatewayapi": ("flagger-system", "gatewayapi:v1", "http://flagger-prometheus:9090"),
    "apisix": ("flagger-system", "apisix", "http://flagger-prometheus:9090"),
}


def overlays():
    out = {}
    for overlay, (namespace, provider, metrics) in OVERLAYS.items():
        objects = out[overlay] = kustomized(overlay)
        judge(overlay, objects, cases.D, "metadata|namespace", namespace)
        judge(overlay, objects, "ClusterRoleBinding/flagger", "subjects|0|namespace", namespace)
        judge(overlay, objects, cases.D, cases.BOX + "args", cases.has("-log-level=info", "-include-label-prefix=app.kubernetes.io", f"-mesh-provider={provider}", f"-metrics-server={metrics}"))
        judge(overlay, objects, cases.D, "spec|selector|matchLabels", {"app": "flagger"})
        if "flagger-prometheus" in metrics:
            judge(overlay, objects, cases.P, "metadata|namespace", namespace)
            judge(overlay, objects, cases.P, cases.POD + "volumes|0|configMap|name", cases.Check("has a hash", lambda name: re.fullmatch("flagger-prometheus-[a-z0-9]{10}", name or "")))
            judge(overlay, objects, "Service/flagger-prometheus", "spec|selector", {"app": "flagger-prometheus"})
        if not any(one["kind"] == "Namespace" for one in objects) and namespace in ("flagger-system", "projectcontour"):
            fail(f"{overlay}: no namespace")
    judge("linkerd", out["linkerd"], "AuthorizationPolicy/prometheus-admin-flagger", "metadata|namespace", "linkerd-viz")
    judge("kuma", out["kuma"], "Mesh/default", "metadata|namespace", cases.ABSENT)
    judge("contour", out["contour"], cases.D, cases.BOX + "args", cases.has("-ingress-class=contour"))
    for overlay, kinds in (("tester", {"Deployment", "Service"}), ("podinfo", {"Deployment", "HorizontalPodAutoscaler"})):
        out[overlay] = kustomized(overlay)
        if {one["kind"] for one in out[overlay]} != kinds:
            fail(f"{overlay}: {kinds}")
    judge("tester", out["tester"], "Service/flagger-loadtester", "spec|ports|0", {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"})
    return out


def documentation():
    """The commands of docs/install.md: what helm is told to install and kubectl to build can be rendered."""
    with open(f"{ROOT}/docs/install.md") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.M | re.S)
    out = {}
    for line in "".join(blocks).splitlines():
        words = shlex.split(line)
        if words[0] == "helm":
            words = [ROOT + "/" + word if word.startswith("charts/") else word for word in words if word not in ("-i", "--reuse-values")]
            done = helm("template", *words[2:])
            out[line] = documents(done.stdout)
            if done.returncode:
                fail(f"docs/install.md: {line}: {done.stderr}")
        elif "-k" in words:
            kustomized(os.path.relpath(words[words.index("-k") + 1], "kustomize"))
        elif "-f" in words and not os.path.exists(f"{ROOT}/{words[words.index('-f') + 1]}"):
            fail(f"docs/install.md: {line}: there is no such file")
    if len(out) < 8:
        fail(f"docs/install.md: only {len(out)} commands of helm")
    return out


def releases():
    """What Flux is told to install in the examples: the values of their HelmReleases."""
    out = {}
    for example, title, wanted in cases.RELEASES:
        objects = kustomized(example, "examples") if os.path.exists(f"{ROOT}/examples/{example}/kustomization.yaml") else [
            one for path in sorted(glob.glob(f"{ROOT}/examples/{example}/*.yaml")) for one in documents(open(path).read())]
        addresses = {one["metadata"]["name"]: one["spec"]["url"] for one in objects if one["kind"] == "OCIRepository"}
        for one in objects:
            if one["kind"] == "HelmRelease":
                spec, name = one["spec"], addresses[one["spec"]["chartRef"]["name"]].rsplit("/", 1)[1]
                done = helm("template", spec["releaseName"], chart(name), "-n", one["metadata"]["namespace"], "-f", "-", stdin=yaml.safe_dump(spec.get("values", {})))
                what = f"examples/{example}, release {spec['releaseName']}"
                out[what] = documents(done.stdout)
                if done.returncode:
                    fail(f"{what}: {done.stderr.strip()}")
        everything = [one for what, objects in out.items() if what.startswith(f"examples/{example},") for one in objects]
        for one in wanted:
            judge(f"{title}: examples/{example}", everything, *one)
    return out


def wrong_values():
    for name, values, named in cases.WRONG:
        told = render(name, *settings(values))
        if not isinstance(told, str):
            fail(f"charts/{name}: {values} is not refused")
        elif not re.search(named, told):
            fail(f"charts/{name}: {values} is refused without the path {named}: {told}")


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))


def offline():
    """All outputs that are worth applying."""
    for name in cases.VALUES:
        done = helm("lint", "--strict", chart(name))
        if done.returncode:
            fail(f"helm lint {name}: {done.stdout}{done.stderr}")
    every_value_has_a_row()
    defaults_are_allowed_and_known()
    the_chart_makes_what_the_manifests_have()
    names_and_selectors_are_those_of_flagger()
    old_clusters_have_pod_security_policies()
    rows = [(name, *row) for name, (_, table) in cases.VALUES.items() for row in table]
    distinct = {json.dumps([name, values]): (name, values) for name, values, *_ in rows}
    rendered = dict(zip(distinct, in_parallel(lambda one: render(one[0], *settings(one[1])), distinct.values())))
    for name, values, *wanted in rows:
        judge(f"{name} {values}", rendered[json.dumps([name, values])], *wanted)
    for title, name, command, wanted in cases.DOCUMENTS:
        words = shlex.split(command.replace("upgrade -i ", "template ").replace("install ", "template ").replace("CHART", chart(name)))
        done = helm(*words)
        objects = documents(done.stdout) if done.returncode == 0 else done.stderr
        rendered[title + name] = objects
        for one in wanted:
            judge(title, objects, *one)
    for path in sorted(glob.glob(f"{HERE}/values/*.yaml")):
        name = os.path.basename(path).split("-")[0]
        rendered[path] = render(name, "-f", path)
        if isinstance(rendered[path], str):
            fail(f"{path}: {rendered[path]}")
    rendered.update(documentation())
    rendered.update(releases())
    wrong_values()
    trees = overlays()
    every_argument_is_a_flag([*rendered.values(), *trees.values()])
    print(f"{len(rendered)} outputs of the charts, {len(cases.WRONG)} refusals, {len(trees)} overlays rendered")
    return [(key, one) for key, one in rendered.items() if isinstance(one, list)] + [(f"kustomize/{key}", one) for key, one in trees.items()]


def main():
    if not os.access(HELM, os.X_OK):
        text = f"no helm at {HELM}: build it with tests/charts/helm/build.sh DIR and set HELM=DIR/helm"
        sys.exit(text if os.environ.get("REQUIRE_HELM") else print("left out:", text))
    outputs = offline()
    if "--server" in sys.argv[1:]:
        import server
        server.run(outputs, sys.modules[__name__])
    if failures:
        sys.exit(f"{len(failures)} failed")
    print("all as it should be")


if __name__ == "__main__":
    main()
