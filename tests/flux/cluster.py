"""A cluster that Flux looks after: the conformance kit's control plane, the real kustomize-controller, and stand-ins for what cannot be had here.

Real: the API server, kube-controller-manager, kustomize-controller, flagger with the arguments and the permissions of the release that Flux asks for.
Stand-ins, each a thread or a handler below, and what they do not do: `Source` for source-controller (archives a local repository, whatever the URL says),
`Helm` for helm-controller (renders our charts by `helm template` and applies them, says of any other chart that it is installed), `Elsewhere` for what is
reached by HTTP: Prometheus, the load tester, the chat. flagger finds it as its proxy, so that all addresses in the manifests are those of the example.
"""
import hashlib, http.server, json, os, re, shutil, subprocess, sys, threading, time, urllib.parse
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/charts"))
import permitted  # noqa: E402
kit = permitted.kit

FLUX = os.environ.get("FLUX_DIR") or os.path.expanduser("~/.cache/flux")
SOURCES, KUSTOMIZE, HELM = "/apis/source.toolkit.fluxcd.io/v1", "/apis/kustomize.toolkit.fluxcd.io/v1", "/apis/helm.toolkit.fluxcd.io/v2"
PATHS = {"Deployment": "/apis/apps/v1", "Service": "/api/v1", "ConfigMap": "/api/v1", "HorizontalPodAutoscaler": "/apis/autoscaling/v2",
         "Canary": "/apis/flagger.app/v1beta1", "VirtualService": "/apis/networking.istio.io/v1", "DestinationRule": "/apis/networking.istio.io/v1",
         "Gateway": "/apis/networking.istio.io/v1"}


class Failure(Exception):
    pass


def path(kind, namespace, name=""):
    plural = {"Canary": "canaries"}.get(kind, kind.lower() + "s")
    return f"{PATHS[kind]}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def ready(generation, message="as it should be", **more):
    return {"status": {"observedGeneration": generation, **more, "conditions": [
        {"type": "Ready", "status": "True", "reason": "Succeeded", "message": message, "lastTransitionTime": now(), "observedGeneration": generation}]}}


class Repository:
    """A git repository with what the examples need of this checkout."""

    def __init__(self, place):
        self.place = place
        for part in ("examples", "charts/flagger/crds"):
            shutil.copytree(f"{ROOT}/{part}", f"{place}/{part}")
        self.git("init", "-q", "-b", "main")

    def git(self, *words, **more):
        words = ["git", "-C", self.place, "-c", "user.name=someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgsign=false", *words]
        return subprocess.run(words, check=True, capture_output=True, **more).stdout

    def replace(self, file, old, new):
        """In a file, or in each of a folder; a pattern that is not there is a mistake of the test."""
        place = f"{self.place}/{file}"
        files = [f"{place}/{name}" for name in os.listdir(place)] if os.path.isdir(place) else [place]
        found = 0
        for one in files:
            with open(one) as handle:
                text, n = re.subn(old, new, handle.read(), flags=re.M)
            found += n
            with open(one, "w") as handle:
                handle.write(text)
        if not found:
            raise Failure(f"{file} has no {old}")

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def head(self):
        return self.git("rev-parse", "HEAD", text=True).strip()


class Elsewhere(http.server.ThreadingHTTPServer):
    """Whatever flagger reaches by HTTP, and the archives that kustomize-controller fetches."""
    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        self.archives = {}
        self.bad = {}  # workload -> what is bad about it: (part of a query, its answer)
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def measured(self, query):
        for workload, (part, value) in self.bad.items():
            if f'"{workload}"' in query and part in query:
                return value
        # A template's share of failed requests; the built-in success rate; milliseconds.
        return 0 if query.strip().startswith("100 - 100") else 120 if "histogram_quantile" in query else 100


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words): pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        url, at = urllib.parse.urlparse(self.path), self.server
        code, out = 404, b"nobody is there"
        if url.path in at.archives and self.headers.get("Host", "").startswith("127.0.0.1"):
            code, out = 200, at.archives[url.path]
        elif url.hostname and url.hostname.startswith("flagger-prometheus") and url.path == "/api/v1/query":
            query = (urllib.parse.parse_qs(url.query).get("query") or urllib.parse.parse_qs(body).get("query") or [""])[0]
            code, out = 200, json.dumps(kit.vector(at.measured(query))).encode()
        elif url.hostname in ("flagger-loadtester.prod", "chat.example.com"):
            json.loads(body)  # no answer to what is no JSON
            code, out = 200, b"ok"
        self.send_response(code)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = answer


class Worker(threading.Thread):
    """Does `look` again and again until the cluster goes. What goes wrong in it is kept for whoever waits."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.wrong = cluster, None

    def run(self):
        while not self.cluster.plane.stop.is_set():
            try:
                self.look(self.cluster.api)
                self.wrong = None
            except Exception as error:
                self.wrong = f"{type(self).__name__}: {error}"
            self.cluster.plane.stop.wait(0.3)


class Source(Worker):
    """In place of source-controller: every GitRepository is the local one."""
    head = None

    def look(self, api):
        repository, at = self.cluster.repository, self.cluster.elsewhere
        head = repository.head()
        if head != self.head:
            self.archive = repository.git("archive", "--format=tar.gz", head)
            at.archives[f"/archives/{head}.tar.gz"] = self.archive
            self.head = head
        revision = f"main@sha1:{head}"
        for one in api.get(f"{SOURCES}/gitrepositories")["items"]:
            meta = one["metadata"]
            if (one.get("status", {}).get("artifact") or {}).get("revision") != revision:
                artifact = {"digest": "sha256:" + hashlib.sha256(self.archive).hexdigest(), "path": f"archives/{head}.tar.gz", "url": f"{at.url}/archives/{head}.tar.gz",
                            "revision": revision, "lastUpdateTime": now(), "size": len(self.archive)}
                api.merge(f"{SOURCES}/namespaces/{meta['namespace']}/gitrepositories/{meta['name']}/status",
                          ready(meta["generation"], f"stored artifact for revision '{revision}'", artifact=artifact))


class Helm(Worker):
    """In place of helm-controller, and of source-controller for charts."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.rendered = {}  # release -> its objects

    def look(self, api):
        addresses = {}
        for plural in ("helmrepositories", "ocirepositories"):
            for one in api.get(f"{SOURCES}/{plural}")["items"]:
                meta = one["metadata"]
                addresses[meta["namespace"], meta["name"]] = one["spec"]["url"]
                if one.get("status", {}).get("observedGeneration") != meta["generation"]:
                    api.merge(f"{SOURCES}/namespaces/{meta['namespace']}/{plural}/{meta['name']}/status", ready(meta["generation"]))
        for one in api.get(f"{HELM}/helmreleases")["items"]:
            meta, spec = one["metadata"], one["spec"]
            if one.get("status", {}).get("observedGeneration") == meta["generation"]:
                continue
            if "chartRef" in spec:
                address = addresses.get((meta["namespace"], spec["chartRef"]["name"]))
                if not address:
                    continue
                self.install(meta["namespace"], spec, address.rsplit("/", 1)[1])
            api.merge(f"{HELM}/namespaces/{meta['namespace']}/helmreleases/{meta['name']}/status", ready(meta["generation"]))

    def install(self, namespace, spec, chart):
        release, chart = spec["releaseName"], f"{ROOT}/charts/{chart}"
        done = subprocess.run([permitted.HELM, "template", release, chart, "-n", namespace, "-f", "-"], input=yaml.safe_dump(spec.get("values") or {}),
                              capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"helm template {release}: {done.stderr}")
        definitions = ""
        if os.path.isdir(f"{chart}/crds") and spec.get("install", {}).get("crds") != "Skip":
            with open(f"{chart}/crds/crd.yaml") as file:
                definitions = file.read()
        self.cluster.apply(definitions, "--field-manager=helm-controller")
        self.cluster.apply(done.stdout, "--field-manager=helm-controller", "-n", namespace)
        self.rendered[release] = [one for one in yaml.safe_load_all(done.stdout) if one]


class History:
    """Every state of each object of a namespace, as the API server told it: (object or None)."""

    def __init__(self, cluster, namespace):
        self.states, self.lock = {}, threading.Lock()
        for kind in PATHS:
            threading.Thread(target=cluster.api.watch, args=(path(kind, namespace), lambda what, one, kind=kind: self.on(kind, what, one), cluster.plane.stop), daemon=True).start()

    def on(self, kind, what, one):
        meta = one["metadata"]
        if meta["name"] == "kube-root-ca.crt":
            return
        with self.lock:
            states = self.states.setdefault(f"{kind}/{meta['name']}", [])
            if what == "DELETED":
                states.append(None)
            elif not states or not states[-1] or states[-1]["metadata"]["resourceVersion"] != meta["resourceVersion"]:
                states.append(one)

    def now(self):
        """Where everything stands, for `since`."""
        with self.lock:
            return {name: len(states) for name, states in self.states.items()}

    def since(self, mark, name):
        """The state at that moment, and all that came after."""
        with self.lock:
            return self.states.get(name, [])[max(mark.get(name, 0) - 1, 0):]

    def living(self):
        with self.lock:
            return {name: states[-1] for name, states in self.states.items() if states[-1]}


class Cluster:
    def __init__(self, name, binary, gates=()):
        self.name, self.binary, self.gates = name, binary, gates
        self.plane = kit.ControlPlane()
        self.elsewhere = Elsewhere()
        self.repository = Repository(f"{self.plane.dir}/fleet")
        self.workers = []

    def start(self):
        self.plane.start(controllers=None)
        self.api = self.plane.api
        with open(f"{FLUX}/definitions.yaml") as file:
            definitions = [one for one in yaml.safe_load_all(file) if one]
        definitions += [one for one in kit.permissive_crds() if one["spec"]["group"] == "networking.istio.io"]
        for group, version, kind in (("networking.istio.io", "v1", "Gateway"), ("helm.toolkit.fluxcd.io", "v2", "HelmRelease")):
            definitions.append({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{kind.lower()}s.{group}"}, "spec": {
                "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower(), "listKind": f"{kind}List"},
                "versions": [{"name": version, "served": True, "storage": True, "subresources": {"status": {}},
                              "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}})
        for one in definitions:
            self.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one)
        wait("the definitions are established", 300, lambda: all(
            any(c["type"] == "Established" and c["status"] == "True" for c in one.get("status", {}).get("conditions") or [])
            for one in self.api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]))
        self.plane.start_controllers()
        self.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})
        self.history = History(self, "prod")
        self.helm = Helm(self)
        self.workers = [Source(self), self.helm]
        for worker in self.workers:
            worker.start()
        temporary = f"{self.plane.dir}/kustomize"
        os.mkdir(temporary)
        self.plane.spawn("kustomize-controller", [
            f"{FLUX}/kustomize-controller", "--metrics-addr=0", f"--health-addr=127.0.0.1:{kit.free_port()}", "--log-encoding=json", "--requeue-dependency=1s",
            "--min-retry-delay=100ms", *(f"--feature-gates={gate}=true" for gate in self.gates)],
            {**os.environ, "KUBECONFIG": f"{self.plane.dir}/admin.kubeconfig", "RUNTIME_NAMESPACE": "flux-system", "TMPDIR": temporary})
        return self

    def kubectl(self, *words, stdin=None):
        done = subprocess.run(["kubectl", f"--kubeconfig={self.plane.dir}/admin.kubeconfig", *words], input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout

    def apply(self, text, *words):
        if text.strip():
            self.kubectl("apply", "--server-side", *words, "-f", "-", stdin=text)

    def start_flagger(self):
        """With the arguments of the release that Flux asked for, under the permissions that came with it."""
        self.wait("flagger's release is there", 300, lambda: "flagger" in self.helm.rendered)
        objects = self.helm.rendered["flagger"]
        account = permitted.kubeconfig(self.plane, "istio-system", "flagger")
        self.plane.spawn("flagger", permitted.command(self.binary, objects, account), {**os.environ, "http_proxy": self.elsewhere.url, "HTTP_PROXY": self.elsewhere.url})

    def wait(self, what, seconds, test, keep=None):
        """Until it is so; `keep` is what must stay true meanwhile."""
        def look():
            for name, process in self.plane.procs.items():
                if process.poll() is not None:
                    raise Failure(f"{name} ended with {process.returncode}")
            if keep:
                keep()
            return test()
        try:
            return wait(what, seconds, look)
        except Failure as failure:
            wrong = "; ".join(worker.wrong for worker in self.workers if worker.wrong)
            raise Failure(f"{failure} {wrong} {self.situation()}") from None

    def situation(self):
        lines = [f"{name}: {status} {reason} {message}" for name, (status, reason, message) in self.kustomizations().items()]
        lines += [f"{name}: {one.get('status', {}).get('phase')}" for name, one in self.history.living().items() if name.startswith("Canary/")]
        return "".join(f"\n    {line}" for line in lines)

    def kustomizations(self):
        """name -> status, reason and message of Ready, as `flux get kustomizations` shows them."""
        found = {}
        for one in self.api.get(f"{KUSTOMIZE}/kustomizations")["items"]:
            conditions = {c["type"]: c for c in one.get("status", {}).get("conditions") or []}
            state = conditions.get("Ready", {})
            found[one["metadata"]["name"]] = (state.get("status"), state.get("reason"), state.get("message"))
        return found

    def applied(self, kustomization):
        """What each round of kustomize-controller did: {object: created, configured, unchanged}."""
        rounds = []
        with open(f"{self.plane.dir}/kustomize-controller.log") as file:
            for line in file:
                if '"server-side apply completed"' in line:
                    entry = json.loads(line)
                    if entry.get("name") == kustomization:
                        rounds.append(entry["output"])
        return rounds

    def close(self, keep):
        self.plane.close(keep=keep)
        self.elsewhere.shutdown()


def wait(what, seconds, test):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = test()
        if found:
            return found
        time.sleep(0.1)
    raise Failure(f"waited {seconds} s in vain until {what}")
