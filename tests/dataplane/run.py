#!/usr/bin/env python3
"""A real data plane: Traefik routes real requests to real processes while a rollout is promoted and another is rolled back, by what Prometheus has scraped.

    CONFORMANCE=../shared/conformance KUBE_BIN=DIR FLAGGER_CRDS=artifacts/flagger/crd.yaml TRAEFIK=DIR PROMETHEUS=DIR python3 tests/dataplane/run.py FLAGGER

TRAEFIK is what tests/dataplane/traefik/build.sh has built, PROMETHEUS what tests/tools/prometheus.sh prints; the definitions of the Gateway API come from the
module that this Traefik is made of. Needs Go (traffic/ is built here), Python with PyYAML and requests, openssl, unshare and ip.

All of it runs in a network namespace of its own, where the pods have addresses. A machine that allows no such namespace is told so, and the test is skipped;
everything else that is missing is a failure. Shown, each with its figures:

1. initialised, all requests arrive at the primary;
2. at weight 30, held there by a hook, 10,000 requests arrive 30 % (within 2 points) at the canary;
3. the real success rate promotes the new version, with values in each check, and the primary serves it;
4. the real success rate rolls back the next version, half of whose answers are errors;
5. from the first step to the last no request is lost, be it a GET or a POST, over kept or fresh connections: each is answered by one of the versions.
"""
import glob, http.server, json, os, signal, subprocess, sys, tempfile, threading, time
import requests, yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.abspath(os.environ.get("CONFORMANCE", "../shared/conformance")), HERE]
import run as kit  # noqa: E402
from kubelet import Pods  # noqa: E402

NS, HOST = "shop", "shop.example.com"
# The namespace is our own, and so are all of its ports.
WEB, TRAEFIK_METRICS, PROMETHEUS, HOOK = 8000, 9101, 9090, 9102
LABELS = {"app": "cart"}
REQUESTS, POINTS = 10_000, 2
# Of Traefik's own series, those of the canary's Service.
RATE = """100 * sum(rate(traefik_service_requests_total{service="{{ namespace }}-{{ target }}-canary-http-80@kubernetesgateway", code!~"5.."}[{{ interval }}]))
/ sum(rate(traefik_service_requests_total{service="{{ namespace }}-{{ target }}-canary-http-80@kubernetesgateway"}[{{ interval }}]))"""


def pod(version, failing):
    """Traefik hears of a pod's end when it has begun, and applies what it hears at most every two seconds: hence the sleep."""
    return {"metadata": {"labels": LABELS}, "spec": {"terminationGracePeriodSeconds": 30, "containers": [{
        "name": "cart", "image": f"registry.local/cart:{version}", "env": [{"name": "FAILING", "value": str(failing)}], "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}}, "lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}]}}


def objects():
    gateway = "/apis/gateway.networking.k8s.io/v1"
    yield f"{gateway}/gatewayclasses", {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "traefik"},
                                        "spec": {"controllerName": "traefik.io/gateway-controller"}}
    yield f"{gateway}/namespaces/{NS}/gateways", {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "front"},
        "spec": {"gatewayClassName": "traefik", "listeners": [{"name": "http", "port": WEB, "protocol": "HTTP", "hostname": "*.example.com"}]}}
    yield f"/apis/apps/v1/namespaces/{NS}/deployments", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": LABELS}, "template": pod(1, 0)}}
    yield f"/apis/flagger.app/v1beta1/namespaces/{NS}/metrictemplates", {
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "success-rate"},
        "spec": {"provider": {"type": "prometheus", "address": f"http://127.0.0.1:{PROMETHEUS}"}, "query": RATE}}
    yield f"/apis/flagger.app/v1beta1/namespaces/{NS}/canaries", {
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "cart"}, "spec": {
            "provider": "gatewayapi:v1", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}, "progressDeadlineSeconds": 120,
            "service": {"port": 80, "targetPort": 8080, "hosts": [HOST], "gatewayRefs": [{"name": "front"}]},
            "analysis": {"interval": "10s", "threshold": 2, "stepWeights": [30, 50],
                         "metrics": [{"name": "success-rate", "interval": "10s", "thresholdRange": {"min": 99}, "templateRef": {"name": "success-rate"}}],
                         "webhooks": [{"name": "hold", "type": "confirm-traffic-increase", "url": f"http://127.0.0.1:{HOOK}/"}]}}}


class Hold(http.server.BaseHTTPRequestHandler):
    """The hook that lets no rollout go beyond 30 % until it is released."""
    weight, released = (lambda: 0), threading.Event()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200 if Hold.weight() < 30 or Hold.released.is_set() else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_): pass


class Story:
    """What the Canary's status said, and when."""

    def __init__(self, cp):
        self.begun, self.statuses, self.cp = time.monotonic(), [], cp
        threading.Thread(target=cp.api.watch, args=(f"/apis/flagger.app/v1beta1/namespaces/{NS}/canaries", self.on, cp.stop), daemon=True).start()

    def on(self, typ, canary):
        status = canary.get("status") or {}
        before, told = self.now(), lambda one: (one.get("phase"), one.get("canaryWeight", 0))
        self.statuses.append(status)
        if told(before) != told(status):
            print(f"{time.strftime('%H:%M:%S')}  {status.get('phase')}, weight {status.get('canaryWeight', 0)}", flush=True)

    def now(self):
        return self.statuses[-1] if self.statuses else {}

    def checks(self, since):
        """The rounds of checks from then on, as (verdict, value)."""
        rounds = {status["lastChecks"]["time"]: status["lastChecks"]["checks"] for status in self.statuses[since:] if status.get("lastChecks")}
        return [(check["verdict"], check.get("value")) for _, checks in sorted(rounds.items()) for check in checks]


def wait(what, seconds, condition):
    """What the condition finds; a failure says what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except requests.ConnectionError:
            pass
        time.sleep(0.1)
    sys.exit(f"waited {seconds} s in vain for: {what}")


def send(traffic, count):
    """That many requests, as fast as they go: answers by version, side and status."""
    report = json.loads(subprocess.run([traffic, "send", "-n", str(count), f"http://127.0.0.1:{WEB}/", HOST], check=True, capture_output=True).stdout)
    if report["lost"]:
        sys.exit(f"lost of {count}: {report['lost'][:5]}")
    return by(report, slice(1, None))


def by(report, part):
    found = {}
    for key, count in report["answers"].items():
        key = " ".join(key.split()[part])
        found[key] = found.get(key, 0) + count
    return dict(sorted(found.items()))


def must(holds, text):
    print(("" if holds else "FAILED ") + text, flush=True)
    if not holds:
        sys.exit(1)


def start(cp, flagger):
    """All but the objects of the release."""
    definitions = glob.glob(f"{os.environ['TRAEFIK']}/crd/gateway.networking.k8s.io_*.yaml")
    for path in (os.environ["FLAGGER_CRDS"], *definitions):
        with open(path) as file:
            for one in filter(None, yaml.load_all(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))):
                cp.api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", one)
    for resource in ("flagger.app/v1beta1/canaries", "gateway.networking.k8s.io/v1/httproutes"):
        wait(f"{resource} being served", 60, lambda: cp.api.get(f"/apis/{resource}", ok404=True))
    cp.start_controllers()
    kit.grant(cp)
    cp.spawn("traefik", [f"{os.environ['TRAEFIK']}/traefik", f"--entrypoints.web.address=:{WEB}", f"--entrypoints.metrics.address=:{TRAEFIK_METRICS}", "--metrics.prometheus=true",
                         "--metrics.prometheus.entrypoint=metrics", "--providers.kubernetesgateway=true", f"--providers.kubernetesgateway.endpoint={cp.url}",
                         "--providers.kubernetesgateway.token=admin-token", f"--providers.kubernetesgateway.certauthfilepath={cp.dir}/certs/apiserver.crt",
                         "--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO"])
    with open(f"{cp.dir}/prometheus.yaml", "w") as file:
        yaml.safe_dump({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                        "scrape_configs": [{"job_name": "traefik", "static_configs": [{"targets": [f"127.0.0.1:{TRAEFIK_METRICS}"]}]}]}, file)
    cp.spawn("prometheus", [f"{os.environ['PROMETHEUS']}/prometheus", f"--config.file={cp.dir}/prometheus.yaml", f"--storage.tsdb.path={cp.dir}/prometheus",
                            f"--web.listen-address=127.0.0.1:{PROMETHEUS}"])
    hook = http.server.ThreadingHTTPServer(("127.0.0.1", HOOK), Hold)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    cp.spawn("flagger", [flagger, f"-kubeconfig={cp.dir}/flagger.kubeconfig", f"-metrics-server=http://127.0.0.1:{PROMETHEUS}", "-mesh-provider=gatewayapi:v1",
                         "-control-loop-interval=1s", f"-port={kit.free_port()}"])


def release(cp, version, failing):
    cp.api.merge(f"/apis/apps/v1/namespaces/{NS}/deployments/cart", {"spec": {"template": pod(version, failing)}})


def settled(cp):
    """The canary has no pods any more, not even ones that are leaving."""
    return not [one for one in cp.api.get(f"/api/v1/namespaces/{NS}/pods")["items"] if "-primary-" not in one["metadata"]["name"]]


def show(cp, traffic):
    cp.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    story = Story(cp)
    Hold.weight = lambda: story.now().get("canaryWeight", 0)
    for path, one in objects():
        wait(f"{path} being served", 60, lambda: cp.api.get(path, ok404=True))
        cp.api.post(path, one)
    reached = lambda phase: lambda: story.now().get("phase") == phase  # noqa: E731
    wait("Initialized", 120, reached("Initialized"))
    wait("the target at rest", 60, lambda: settled(cp))
    through = lambda: requests.get(f"http://127.0.0.1:{WEB}/", headers={"Host": HOST}, timeout=10).headers.get("Version")  # noqa: E731
    wait("an answer through Traefik", 60, through)

    client = cp.procs["client"] = subprocess.Popen([traffic, "send", "-rate", "100", f"http://127.0.0.1:{WEB}/", HOST], stdout=subprocess.PIPE, text=True)
    try:
        releases(cp, traffic, story, reached, through)
    finally:
        client.send_signal(signal.SIGTERM)
        report = json.loads(client.communicate(timeout=30)[0])
        for line in report["lost"][:40]:
            print("lost", line)
    must(not report["lost"], f"lost: {len(report['lost'])} of {sum(report['answers'].values()) + len(report['lost'])}; answers {by(report, slice(None))}")
    wrong = set(by(report, slice(1, None))) - {"1 primary 200", "2 canary 200", "2 primary 200", "3 canary 200", "3 canary 500"}
    must(not wrong, f"answers that no version should give: {wrong or 'none'}")


def releases(cp, traffic, story, reached, through):
    """One that is promoted and one that is rolled back, while the client sends."""
    found = send(traffic, 500)
    must(found == {"1 primary 200": 500}, f"initialised: {found}")

    since = len(story.statuses)
    release(cp, 2, 0)
    wait("weight 30", 120, lambda: story.now().get("canaryWeight") == 30)
    begun = time.monotonic()
    wait("the first answer of the canary", 30, lambda: through() == "2")
    print(f"the first answer of the canary came {time.monotonic() - begun:.1f} s after the status said 30", flush=True)
    found = send(traffic, REQUESTS)
    share = 100 * found.get("2 canary 200", 0) / REQUESTS
    must(abs(share - 30) <= POINTS and set(found) == {"1 primary 200", "2 canary 200"} and story.now().get("canaryWeight") == 30, f"at weight 30: {found}, {share:.2f} % at the canary")

    Hold.released.set()
    ended = lambda: story.now().get("phase") in ("Succeeded", "Failed")  # noqa: E731
    wait("the end of the release", 180, ended)
    checks = story.checks(since)
    passed = [value for verdict, value in checks if verdict == "Passed"]
    must(reached("Succeeded")() and len(passed) >= 2 and all(value is not None and value >= 99 for value in passed), f"promoted by {checks}")
    wait("the canary at rest", 60, lambda: settled(cp))
    found = send(traffic, 500)
    must(found == {"2 primary 200": 500}, f"promoted: {found}")

    since = len(story.statuses)
    release(cp, 3, 0.5)
    wait("weight 30", 120, lambda: story.now().get("canaryWeight") == 30)
    wait("the end of the release", 180, ended)
    checks = story.checks(since)
    failed = [value for verdict, value in checks if verdict == "Failed"]
    must(reached("Failed")() and len(failed) == 2 and all(0 < value < 99 for value in failed), f"rolled back by {checks}")
    wait("the canary at rest", 60, lambda: settled(cp))
    found = send(traffic, 500)
    must(found == {"2 primary 200": 500}, f"rolled back: {found}")


def inside(flagger):
    for command in ("ip link set lo up", "ip address add 10.244.0.1/16 dev lo"):
        subprocess.run(command.split(), check=True)
    with tempfile.TemporaryDirectory(prefix="traffic-") as built:
        traffic = f"{built}/traffic"
        subprocess.run(["go", "build", "-C", f"{HERE}/traffic", "-o", traffic, "."], check=True)
        cp, ended = Pods(traffic), False
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
        try:
            cp.start(controllers=None)
            start(cp, flagger)
            show(cp, traffic)
            ended = True
        finally:
            cp.close(keep=not ended)
            if not ended:
                print(f"logs are kept in {cp.dir}", flush=True)


def main():
    if sys.argv[1:2] == ["--inside"]:
        return inside(os.path.abspath(sys.argv[2]))
    refused = []
    for namespace in (["unshare", "--net"], ["unshare", "--net", "--map-root-user"]):
        tried = subprocess.run([*namespace, "true"], capture_output=True, text=True)
        if tried.returncode == 0:
            os.execvp(namespace[0], [*namespace, sys.executable, os.path.abspath(__file__), "--inside", *sys.argv[1:]])
        refused.append(tried.stderr.strip())
    print(f"no network namespace can be made here ({'; '.join(refused)}): skipped")


if __name__ == "__main__":
    main()
