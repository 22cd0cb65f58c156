"""What each value of each chart is to do: tables for run.py.

A row is (values, object, path, expected). `values` are written as for `helm --set` (numbers, booleans and lists by JSON); `object` is Kind/name in the
output of a release named as the chart is usually named; the path has `|` between its keys; `expected` is a value, or one of the checks below.
"""


class Check:
    def __init__(self, text, test):
        self.text, self.test = text, test

    def __repr__(self):
        return self.text


def has(*wanted):
    return Check(f"has {wanted}", lambda found: found is not None and all(one in found for one in wanted))


def lacks(unwanted):
    return Check(f"lacks {unwanted}", lambda found: found is None or unwanted not in found)


def includes(wanted):
    return Check(f"includes {wanted}", lambda found: found is not None and wanted.items() <= found.items())


ABSENT = Check("is absent", lambda found: found is None)
PRESENT = Check("is present", lambda found: found is not None)
TEMPLATE = "spec|template|"
POD = TEMPLATE + "spec|"
BOX = POD + "containers|0|"
D, P = "Deployment/flagger", "Deployment/flagger-prometheus"


def flag(values, *arguments):
    return (values, D, BOX + "command", has(*arguments))


def rules(values, test, role="ClusterRole/flagger"):
    return (values, role, "rules", test)


def group(name):
    return Check(f"allows something in {name}", lambda rules: any(name in rule.get("apiGroups", []) for rule in rules or []))


def no_group(name):
    return Check(f"allows nothing in {name}", lambda rules: all(name not in rule.get("apiGroups", []) for rule in rules or []))


def verbs(group, resource, *wanted):
    def test(rules):
        found = {verb for rule in rules or [] if group in rule.get("apiGroups", []) and resource in rule["resources"] for verb in rule["verbs"]}
        return found == set(wanted)
    return Check(f"allows {wanted} on {resource}.{group}", test)


FLAGGER = [
    ({"image.repository": "registry/x", "image.tag": "7"}, D, BOX + "image", "registry/x:7"),
    ({"image.pullPolicy": "Always"}, D, BOX + "imagePullPolicy", "Always"),
    ({"image.pullSecret": "login"}, D, POD + "imagePullSecrets", [{"name": "login"}]),
    ({"replicaCount": 2, "leaderElection.enabled": True}, D, "spec|replicas", 2),
    flag({"leaderElection.enabled": True}, "-enable-leader-election=true", "-leader-election-namespace=ns"),
    ({"leaderElection.enabled": True}, D, "spec|strategy", ABSENT),
    rules({"leaderElection.enabled": True}, verbs("coordination.k8s.io", "leases", "get", "create", "update")),
    rules({}, no_group("coordination.k8s.io")),
    flag({"namespace": "shop"}, "-namespace=shop"),
    rules({"namespace": "shop"}, verbs("flagger.app", "canaries", "get", "list", "watch", "patch"), "Role/flagger"),
    ({"namespace": "shop"}, "Role/flagger", "metadata|namespace", "shop"),
    ({"namespace": "shop"}, "RoleBinding/flagger", "subjects|0", {"kind": "ServiceAccount", "name": "flagger", "namespace": "ns"}),
    rules({"namespace": "shop"}, no_group("flagger.app")),
    flag({"meshProvider": "nginx"}, "-mesh-provider=nginx"),
    rules({"meshProvider": "nginx"}, group("networking.istio.io")),
    rules({"meshProvider": "nginx", "providers": ["gatewayapi:v1"]}, no_group("networking.istio.io")),
    rules({"meshProvider": "nginx", "providers": ["gatewayapi:v1"]}, group("networking.k8s.io")),
    rules({"meshProvider": "nginx", "providers": ["gatewayapi"]}, group("gateway.networking.k8s.io")),
    rules({"providers": ["kubernetes"]}, group("networking.istio.io")),
    flag({"metricsServer": "http://prom:80"}, "-metrics-server=http://prom:80"),
    flag({"selectorLabels": r"app\,x"}, "-selector-labels=app,x"),
    flag({"includeLabelPrefix": "app.kubernetes.io"}, "-include-label-prefix=app.kubernetes.io"),
    flag({"ingressAnnotationsPrefix": "custom.ingress"}, "-ingress-annotations-prefix=custom.ingress"),
    flag({"ingressClass": "contour"}, "-ingress-class=contour"),
    flag({"noCrossNamespaceRefs": True}, "-no-cross-namespace-refs=true"),
    flag({"configTracking.enabled": False}, "-enable-config-tracking=false"),
    rules({"configTracking.enabled": False}, verbs("", "secrets", "get")),
    rules({"configTracking.enabled": False}, verbs("", "configmaps")),
    rules({}, verbs("", "secrets", "get", "list", "watch", "create", "update", "patch")),
    flag({"kstatusConditions": False}, "-kstatus-conditions=false"),
    # As with --reuse-values of a release by Flagger's chart, which has no such keys.
    ({"kstatusConditions": None, "providers": None}, D, BOX + "command", lacks("-kstatus-conditions=false")),
    flag({"logLevel": "debug"}, "-log-level=debug"),
    flag({"clusterName": "east"}, "-cluster-name=east"),
    flag({"clusterName": 7}, "-cluster-name=7"),
    flag({"eventWebhook": "http://hook"}, "-event-webhook=http://hook"),
    flag({"slack.user": "me"}, "-slack-user=me"),
    flag({"slack.channel": "general"}, "-slack-channel=general"),
    flag({"slack.url": "https://hooks/x"}, "-slack-url=https://hooks/x"),
    flag({"slack.proxyUrl": "proxy:1"}, "-slack-proxy-url=proxy:1"),
    flag({"slack.proxy-url": "proxy:1"}, "-slack-proxy-url=proxy:1"),
    flag({"slack.proxy": "proxy:1"}, "-slack-proxy-url=proxy:1"),
    flag({"slack.proxy.url": "proxy:1"}, "-slack-proxy-url=proxy:1"),
    flag({"msteams.url": "https://teams/x"}, "-msteams-url=https://teams/x"),
    flag({"msteams.proxyUrl": "proxy:1"}, "-msteams-proxy-url=proxy:1"),
    flag({"msteams.proxy-url": "proxy:1"}, "-msteams-proxy-url=proxy:1"),
    flag({"msteams.proxy": "proxy:1"}, "-msteams-proxy-url=proxy:1"),
    flag({"msteams.proxy.url": "proxy:1"}, "-msteams-proxy-url=proxy:1"),
    flag({"kubeconfigQPS": 50}, "-kubeconfig-qps=50"),
    flag({"kubeconfigBurst": 2000000}, "-kubeconfig-burst=2000000"),
    flag({"threadiness": 4}, "-threadiness=4"),
    flag({"controlplane.kubeconfig.secretName": "remote"}, "-kubeconfig-service-mesh=/tmp/controlplane/kubeconfig"),
    flag({"controlplane.kubeconfig.secretName": "remote", "controlplane.kubeconfig.key": "k"}, "-kubeconfig-service-mesh=/tmp/controlplane/k"),
    ({"controlplane.kubeconfig.secretName": "remote"}, D, POD + "volumes", [{"name": "kubeconfig", "secret": {"secretName": "remote"}}]),
    ({"controlplane.kubeconfig.secretName": "remote"}, D, BOX + "volumeMounts|0|mountPath", "/tmp/controlplane"),
    ({"nameOverride": "x"}, "Deployment/flagger-x", "spec|selector|matchLabels", {"app.kubernetes.io/name": "x", "app.kubernetes.io/instance": "flagger"}),
    ({"fullnameOverride": "other"}, "Deployment/other", "spec|selector|matchLabels|app.kubernetes.io/name", "flagger"),
    ({"annotations": {"a": "b"}}, D, "metadata|annotations", {"a": "b"}),
    ({"deploymentLabels": {"a": 1}}, D, "metadata|labels|a", "1"),
    ({"podAnnotations": {"a": "b"}}, D, TEMPLATE + "metadata|annotations", includes({"a": "b", "prometheus.io/port": "8080"})),
    ({"podLabels": {"a": True}}, D, TEMPLATE + "metadata|labels|a", "true"),
    ({"podPriorityClassName": "high"}, D, POD + "priorityClassName", "high"),
    ({"env": [{"name": "SLACK_URL", "value": "x"}]}, D, BOX + "env", [{"name": "SLACK_URL", "value": "x"}]),
    ({"additionalVolumes": [{"name": "v", "emptyDir": {}}]}, D, POD + "volumes", [{"name": "v", "emptyDir": {}}]),
    ({"additionalVolumes": [{"name": "v", "emptyDir": {}}], "additionalVolumeMounts": [{"name": "v", "mountPath": "/v"}]}, D, BOX + "volumeMounts", [{"name": "v", "mountPath": "/v"}]),
    ({"securityContext.enabled": False}, D, BOX + "securityContext", ABSENT),
    ({"securityContext.context.runAsUser": 5}, D, BOX + "securityContext", {"readOnlyRootFilesystem": True, "runAsUser": 5}),
    ({"resources.limits.cpu": "2"}, D, BOX + "resources|limits|cpu", "2"),
    ({"nodeSelector": {"a": "b"}}, D, POD + "nodeSelector", {"a": "b"}),
    ({"tolerations": [{"operator": "Exists"}]}, D, POD + "tolerations", [{"operator": "Exists"}]),
    ({"affinity": {"nodeAffinity": {"x": "{{ .Release.Name }}"}}}, D, POD + "affinity|nodeAffinity|x", "flagger"),
    ({"serviceAccount.create": False}, D, POD + "serviceAccountName", "default"),
    ({"serviceAccount.create": False}, "ServiceAccount/flagger", "", ABSENT),
    ({"serviceAccount.name": "robot"}, "ClusterRoleBinding/flagger", "subjects|0|name", "robot"),
    ({"serviceAccount.annotations": {"a": "b"}}, "ServiceAccount/flagger", "metadata|annotations", {"a": "b"}),
    ({"rbac.create": False}, "ClusterRole/flagger", "", ABSENT),
    ({"rbac.pspEnabled": True}, "PodSecurityPolicy/flagger", "", ABSENT),
    ({"crd.create": True}, "CustomResourceDefinition/canaries.flagger.app", "spec|group", "flagger.app"),
    ({"linkerdAuthPolicy.create": True}, "AuthorizationPolicy/prometheus-admin-flagger", "spec|requiredAuthenticationRefs|0|name", "flagger"),
    ({"linkerdAuthPolicy.create": True, "linkerdAuthPolicy.namespace": "viz"}, "AuthorizationPolicy/prometheus-admin-flagger", "metadata|namespace", "viz"),
    ({"podDisruptionBudget.enabled": True}, "PodDisruptionBudget/flagger", "spec|selector|matchLabels|app.kubernetes.io/instance", "flagger"),
    ({"podDisruptionBudget.enabled": True, "podDisruptionBudget.minAvailable": "50%"}, "PodDisruptionBudget/flagger", "spec|minAvailable", "50%"),
    ({"serviceMonitor.enabled": True}, "ServiceMonitor/flagger", "spec|endpoints|0|interval", "30s"),
    ({"serviceMonitor.enabled": True}, "Service/flagger", "spec|ports|0|port", 8080),
    ({"serviceMonitor.enabled": True, "serviceMonitor.honorLabels": True}, "ServiceMonitor/flagger", "spec|endpoints|0|honorLabels", True),
    ({"serviceMonitor.enabled": True, "serviceMonitor.namespace": "mon"}, "ServiceMonitor/flagger", "metadata|namespace", "mon"),
    ({"serviceMonitor.enabled": True, "serviceMonitor.namespace": "mon"}, "ServiceMonitor/flagger", "spec|namespaceSelector|matchNames", ["ns"]),
    ({"serviceMonitor.enabled": True, "serviceMonitor.labels": {"a": "b"}}, "ServiceMonitor/flagger", "metadata|labels|a", "b"),
    ({"podMonitor.enabled": True}, "PodMonitor/flagger", "spec|podMetricsEndpoints|0|interval", "15s"),
    ({"podMonitor.enabled": True, "podMonitor.namespace": "mon"}, "PodMonitor/flagger", "metadata|namespace", "mon"),
    ({"podMonitor.enabled": True, "podMonitor.interval": "5s"}, "PodMonitor/flagger", "spec|podMetricsEndpoints|0|interval", "5s"),
    ({"podMonitor.enabled": True, "podMonitor.honorLabels": True}, "PodMonitor/flagger", "spec|podMetricsEndpoints|0|honorLabels", True),
    ({"podMonitor.enabled": True, "podMonitor.additionalLabels": {"a": "b"}}, "PodMonitor/flagger", "metadata|labels|a", "b"),
    flag({"prometheus.install": True}, "-metrics-server=http://flagger-prometheus:9090"),
    ({"prometheus.install": True}, P, BOX + "args", has("--storage.tsdb.retention.time=2h", "--config.file=/etc/prometheus/prometheus.yml")),
    ({"prometheus.install": True}, "Service/flagger-prometheus", "spec|ports|0|port", 9090),
    ({"prometheus.install": True}, "ConfigMap/flagger-prometheus", "data|prometheus.yml", has("job_name: kubernetes-pods")),
    ({"prometheus.install": True, "prometheus.image": "prom:9"}, P, BOX + "image", "prom:9"),
    ({"prometheus.install": True, "prometheus.pullSecret": "login"}, P, POD + "imagePullSecrets", [{"name": "login"}]),
    ({"prometheus.install": True, "prometheus.retention": "1d"}, P, BOX + "args", has("--storage.tsdb.retention.time=1d")),
    ({"prometheus.install": True, "prometheus.securityContext.enabled": True}, P, BOX + "securityContext|runAsUser", 10001),
    ({"prometheus.install": True, "prometheus.securityContext.enabled": True, "prometheus.securityContext.context.runAsUser": 3}, P, BOX + "securityContext|runAsUser", 3),
    ({"global": {"a": 1}, "enabled": True, "x-anchor": 1}, D, "spec|replicas", 1),
]

L = "Deployment/loadtester"
ROLE = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
LOADTESTER = [
    ({"image.repository": "registry/x", "image.tag": "7"}, L, BOX + "image", "registry/x:7"),
    ({"image.pullPolicy": "Always"}, L, BOX + "imagePullPolicy", "Always"),
    ({"image.pullSecret": "login"}, L, POD + "imagePullSecrets", [{"name": "login"}]),
    ({"replicaCount": 2}, L, "spec|replicas", 2),
    ({"logLevel": "debug"}, L, BOX + "command", has("-log-level=debug")),
    ({"cmd.timeout": "2h"}, L, BOX + "command", has("-timeout=2h")),
    ({"cmd.namespaceRegexp": "^shop$"}, L, BOX + "command", has("-namespace-regexp=^shop$")),
    ({}, L, BOX + "command", ["./loadtester", "-port=8080", "-log-level=info", "-timeout=1h", "-namespace-regexp="]),
    ({}, L, "spec|selector|matchLabels", {"app": "loadtester"}),
    ({}, "Service/loadtester", "spec|selector", {"app": "loadtester", "app.kubernetes.io/instance": "loadtester"}),
    ({}, L, TEMPLATE + "metadata|annotations", includes({"appmesh.k8s.aws/ports": "444", "openservicemesh.io/inbound-port-exclusion-list": "80, 8080"})),
    ({"nameOverride": "x"}, "Deployment/loadtester-x", "spec|selector|matchLabels", {"app": "x"}),
    ({"fullnameOverride": "other"}, "Service/other", "spec|ports|0|targetPort", "http"),
    ({"podAnnotations": {"a": "b"}}, L, TEMPLATE + "metadata|annotations|a", "b"),
    ({"podLabels": {"a": 1}}, L, TEMPLATE + "metadata|labels|a", "1"),
    ({"podPriorityClassName": "high"}, L, POD + "priorityClassName", "high"),
    ({"env": [{"name": "A", "value": "x"}]}, L, BOX + "env", [{"name": "A", "value": "x"}]),
    ({"volumes": [{"name": "v", "emptyDir": {}}]}, L, POD + "volumes", [{"name": "v", "emptyDir": {}}]),
    ({"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}, L, BOX + "volumeMounts", [{"name": "v", "mountPath": "/v"}]),
    ({"resources.limits.cpu": "2"}, L, BOX + "resources|limits|cpu", "2"),
    ({"nodeSelector": {"a": "b"}}, L, POD + "nodeSelector", {"a": "b"}),
    ({"tolerations": [{"operator": "Exists"}]}, L, POD + "tolerations", [{"operator": "Exists"}]),
    ({"affinity": {"nodeAffinity": {}}}, L, POD + "affinity", {"nodeAffinity": {}}),
    ({"securityContext.enabled": True}, L, BOX + "securityContext", {"readOnlyRootFilesystem": True, "runAsUser": 100, "runAsGroup": 101}),
    ({"securityContext.enabled": True, "securityContext.context.runAsUser": 5}, L, BOX + "securityContext|runAsUser", 5),
    ({"podSecurityContext.enabled": True}, L, POD + "securityContext", {"fsGroup": 101, "fsGroupChangePolicy": "OnRootMismatch"}),
    ({"podSecurityContext.enabled": True, "podSecurityContext.context.fsGroup": 5}, L, POD + "securityContext|fsGroup", 5),
    ({"service.type": "NodePort"}, "Service/loadtester", "spec|type", "NodePort"),
    ({"service.port": 81}, "Service/loadtester", "spec|ports|0|port", 81),
    ({"serviceAccountName": "robot", "rbac.create": True}, L, POD + "serviceAccountName", "robot"),
    ({"rbac.create": True, "rbac.rules": ROLE}, "Role/loadtester", "rules", ROLE),
    ({"rbac.create": True}, L, POD + "serviceAccountName", "loadtester"),
    ({"rbac.create": True, "rbac.scope": "cluster"}, "ClusterRoleBinding/loadtester", "roleRef|kind", "ClusterRole"),
    ({"rbac.create": True, "rbac.serviceAccountAnnotations": {"a": "b"}}, "ServiceAccount/loadtester", "metadata|annotations|a", "b"),
    ({"meshName": "global", "backends": ["a.b"]}, "VirtualNode/loadtester", "spec|meshName", "global"),
    ({"meshName": "global", "backends": ["a.b"]}, "VirtualNode/loadtester", "spec|backends|0|virtualService|virtualServiceName", "a.b"),
    ({"appmesh.enabled": True}, "VirtualNode/loadtester", "spec|backends|1|virtualService|virtualServiceRef|name", "podinfo-canary"),
    ({"appmesh.enabled": True, "appmesh.backends": ["a"]}, "VirtualNode/loadtester", "spec|backends|0|virtualService|virtualServiceRef|name", "a"),
    ({"istio.enabled": True}, "VirtualService/loadtester", "spec|gateways", ["loadtester"]),
    ({"istio.enabled": True, "istio.host": "l.example"}, "VirtualService/loadtester", "spec|hosts", ["l.example"]),
    ({"istio.enabled": True}, "Gateway/loadtester", "", ABSENT),
    ({"istio.enabled": True, "istio.gateway.enabled": True}, "Gateway/loadtester", "spec|servers|0|port|number", 80),
    ({"istio.enabled": True, "istio.gateway.enabled": True, "istio.tls.enabled": True}, "Gateway/loadtester", "spec|servers|1|tls|credentialName", "loadtester"),
    ({"istio.enabled": True, "istio.gateway.enabled": True, "istio.tls.enabled": True, "istio.tls.httpsRedirect": True}, "Gateway/loadtester", "spec|servers|0|tls|httpsRedirect", True),
    ({"podDisruptionBudget.enabled": True}, "PodDisruptionBudget/loadtester", "spec|minAvailable", 1),
    ({"podDisruptionBudget.enabled": True, "podDisruptionBudget.minAvailable": 0}, "PodDisruptionBudget/loadtester", "spec|minAvailable", 0),
]

G = "Deployment/flagger-grafana"


def variable(name, value):
    return Check(f"has {name}={value}", lambda found: {"name": name, "value": value} in (found or []))


GRAFANA = [
    ({"replicaCount": 2}, G, "spec|replicas", 2),
    ({"image.repository": "registry/x", "image.tag": "7"}, G, BOX + "image", "registry/x:7"),
    ({"image.pullPolicy": "Always"}, G, BOX + "imagePullPolicy", "Always"),
    ({"image.pullSecret": "login"}, G, POD + "imagePullSecrets", [{"name": "login"}]),
    ({"podAnnotations": {"a": "b"}}, G, TEMPLATE + "metadata|annotations", includes({"a": "b", "prometheus.io/scrape": "false"})),
    ({"resources.limits.cpu": "2"}, G, BOX + "resources|limits|cpu", "2"),
    ({"nodeSelector": {"a": "b"}}, G, POD + "nodeSelector", {"a": "b"}),
    ({"tolerations": [{"operator": "Exists"}]}, G, POD + "tolerations", [{"operator": "Exists"}]),
    ({"affinity": {"nodeAffinity": {}}}, G, POD + "affinity", {"nodeAffinity": {}}),
    ({"service.type": "NodePort"}, "Service/flagger-grafana", "spec|type", "NodePort"),
    ({"service.port": 81}, "Service/flagger-grafana", "spec|ports|0|port", 81),
    ({}, "Service/flagger-grafana", "spec|ports|0", {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}),
    ({"user": "me", "password": "change-me"}, "Secret/flagger-grafana", "data", {"user": "bWU=", "password": "Y2hhbmdlLW1l"}),
    ({"password": "change-me"}, G, BOX + "env", lacks({"name": "GF_AUTH_ANONYMOUS_ENABLED", "value": "true"})),
    ({}, G, BOX + "env", variable("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer")),
    ({}, G, BOX + "env", variable("GF_AUTH_DISABLE_LOGIN_FORM", "true")),
    ({"anonymousRole": None}, G, BOX + "env", variable("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer")),
    ({"anonymousRole": "Admin"}, G, BOX + "env", variable("GF_AUTH_ANONYMOUS_ORG_ROLE", "Admin")),
    ({"url": "http://prom:80"}, "ConfigMap/flagger-grafana-datasources", "data|datasources.yaml", has("url: http://prom:80\n")),
    ({"token": "x"}, "ConfigMap/flagger-grafana-datasources", "data|datasources.yaml", has("name: prometheus\n")),
    ({"nameOverride": "x"}, "Deployment/flagger-grafana-x", "spec|replicas", 1),
    ({"fullnameOverride": "other"}, "Service/other", "spec|ports|0|port", 80),
]

I, C = "Deployment/podinfo", "Canary/podinfo"
ON = {"canary.enabled": True}
PODINFO = [
    ({"image.repository": "registry/x", "image.tag": "7"}, I, BOX + "image", "registry/x:7"),
    ({"image.pullPolicy": "Always"}, I, BOX + "imagePullPolicy", "Always"),
    ({"podAnnotations": {"a": "b"}}, I, TEMPLATE + "metadata|annotations|a", "b"),
    ({"resources.limits.cpu": "2"}, I, BOX + "resources|limits|cpu", "2"),
    ({"nodeSelector": {"a": "b"}}, I, POD + "nodeSelector", {"a": "b"}),
    ({"tolerations": [{"operator": "Exists"}]}, I, POD + "tolerations", [{"operator": "Exists"}]),
    ({"affinity": {"nodeAffinity": {}}}, I, POD + "affinity", {"nodeAffinity": {}}),
    ({"nameOverride": "x"}, "Deployment/podinfo-x", "spec|selector|matchLabels", {"app": "podinfo-x"}),
    ({"fullnameOverride": "other"}, "Deployment/other", "spec|selector|matchLabels", {"app": "other"}),
    ({"service.enabled": True}, "Service/podinfo", "spec|ports|0|port", 9898),
    ({"service.enabled": True, "service.type": "NodePort"}, "Service/podinfo", "spec|type", "NodePort"),
    ({"service.enabled": True, "service.port": 81}, "Service/podinfo", "spec|ports|0|port", 81),
    ({"service.enabled": True, **ON}, "Service/podinfo", "", ABSENT),
    ({"hpa.enabled": False}, "HorizontalPodAutoscaler/podinfo", "", ABSENT),
    ({"hpa.minReplicas": 3}, "HorizontalPodAutoscaler/podinfo", "spec|minReplicas", 3),
    ({"hpa.maxReplicas": 9}, "HorizontalPodAutoscaler/podinfo", "spec|maxReplicas", 9),
    ({"hpa.cpu": 50}, "HorizontalPodAutoscaler/podinfo", "spec|metrics|0|resource|target|averageUtilization", 50),
    ({"hpa.memory": "1Gi"}, "HorizontalPodAutoscaler/podinfo", "spec|metrics|1|resource|target|averageValue", "1Gi"),
    (ON, C, "spec|analysis", {"interval": "15s", "threshold": 10, "maxWeight": 50, "stepWeight": 5, "metrics": [
        {"name": "request-success-rate", "threshold": 99, "interval": "1m"}, {"name": "request-duration", "threshold": 500, "interval": "1m"}]}),
    ({**ON, "canary.istioTLS": "ISTIO_MUTUAL"}, C, "spec|service|trafficPolicy|tls|mode", "ISTIO_MUTUAL"),
    ({**ON, "canary.istioIngress.enabled": True, "canary.istioIngress.host": "a.b"}, C, "spec|service|gateways", ["istio-system/public-gateway"]),
    ({**ON, "canary.istioIngress.enabled": True, "canary.istioIngress.host": "a.b"}, C, "spec|service|hosts", ["a.b"]),
    ({**ON, "canary.istioIngress.enabled": True, "canary.istioIngress.gateway": "x/y"}, C, "spec|service|gateways", ["x/y"]),
    ({**ON, "canary.analysis.interval": "30s"}, C, "spec|analysis|interval", "30s"),
    ({**ON, "canary.analysis.threshold": 2}, C, "spec|analysis|threshold", 2),
    ({**ON, "canary.analysis.maxWeight": 20}, C, "spec|analysis|maxWeight", 20),
    ({**ON, "canary.analysis.stepWeight": 2}, C, "spec|analysis|stepWeight", 2),
    ({**ON, "canary.thresholds.successRate": 95}, C, "spec|analysis|metrics|0|threshold", 95),
    ({**ON, "canary.thresholds.latency": 100}, C, "spec|analysis|metrics|1|threshold", 100),
    ({**ON, "canary.loadtest.enabled": True}, C, "spec|analysis|webhooks|0|url", "http://flagger-loadtester.test/"),
    ({**ON, "canary.loadtest.enabled": True, "canary.loadtest.url": "http://x/"}, C, "spec|analysis|webhooks|0|url", "http://x/"),
    ({**ON, "canary.helmtest.enabled": True}, C, "spec|analysis|webhooks|0|metadata", {"type": "helmv3", "cmd": "test podinfo -n ns"}),
    ({**ON, "canary.helmtest.enabled": True, "canary.helmtest.url": "http://x/"}, C, "spec|analysis|webhooks|0|url", "http://x/"),
    ({"logLevel": "debug"}, I, BOX + "command", has("--level=debug")),
    ({"backend": "http://a"}, I, BOX + "command", has("--backend-url=http://a")),
    ({"backends": ["http://a", "http://b"]}, I, BOX + "command", has("--backend-url=http://a", "--backend-url=http://b")),
    ({"message": "hello"}, "ConfigMap/podinfo", "data|PODINFO_UI_MESSAGE", "hello"),
    ({"faults.delay": True}, I, BOX + "command", has("--random-delay=true")),
    ({"faults.error": True}, I, BOX + "command", has("--random-error=true")),
    ({"httpServer.timeout": "1m"}, "ConfigMap/podinfo", "data|PODINFO_HTTP_SERVER_TIMEOUT", "1m"),
]

# Chart: (name of the release, rows).
VALUES = {"flagger": ("flagger", FLAGGER), "loadtester": ("loadtester", LOADTESTER), "grafana": ("flagger-grafana", GRAFANA), "podinfo": ("podinfo", PODINFO)}

# Wrong values: chart, what is set, and what the refusal must name.
WRONG = [
    ("flagger", {"replicaCount": "two"}, "replicaCount"),
    ("flagger", {"replicas": 2}, "replicas"),
    ("flagger", {"meshProvder": "nginx"}, "meshProvder"),
    ("flagger", {"meshProvider": "ngnix"}, "meshProvider"),
    ("flagger", {"providers": ["istoi"]}, "providers/0|providers.0"),
    ("flagger", {"providers": "istio"}, "providers"),
    ("flagger", {"metricsServer": "prometheus"}, "metricsServer"),
    ("flagger", {"slack.chanel": "x"}, "slack.*chanel"),
    ("flagger", {"msteams.proxy.uri": "x"}, "msteams.*proxy.*uri"),
    ("flagger", {"logLevel": "loud"}, "logLevel"),
    ("flagger", {"configTracking.enabled": "yes"}, "configTracking.*enabled"),
    ("flagger", {"image.pullPolicy": "Sometimes"}, "image.*pullPolicy"),
    ("flagger", {"prometheus.retention": "2 hours"}, "prometheus.*retention"),
    ("flagger", {"kubeconfigQPS": "many"}, "kubeconfigQPS"),
    ("flagger", {"podDisruptionBudget.minAvailable": "all"}, "podDisruptionBudget.*minAvailable"),
    ("flagger", {"env": [{"value": "x"}]}, "env.*0"),
    ("flagger", {"tolerations": {"a": "b"}}, "tolerations"),
    ("loadtester", {"cmd.timeout": "an hour"}, "cmd.*timeout"),
    ("loadtester", {"service.port": 99999}, "service.*port"),
    ("loadtester", {"rbac.scope": "galaxy"}, "rbac.*scope"),
    ("loadtester", {"timeout": "1h"}, "timeout"),
    ("grafana", {"url": ""}, "url"),
    ("grafana", {"anonymousRole": "God"}, "anonymousRole"),
    ("podinfo", {"canary.analysis.maxWeight": 200}, "canary.*analysis.*maxWeight"),
    ("podinfo", {"hpa.minReplicas": 0}, "hpa.*minReplicas"),
]

# The commands of the five documents, as far as they concern our charts: arguments of helm as they stand there.
DOCUMENTS = [
    ("S003-03, S004-01", "flagger", "upgrade -i flagger CHART --namespace ingress-nginx --set prometheus.install=true --set meshProvider=nginx",
     [(D, BOX + "command", has("-mesh-provider=nginx", "-metrics-server=http://flagger-prometheus:9090")), (P, "spec|replicas", 1)]),
    ("S003-17", "flagger", "upgrade -i flagger CHART -n ingress-nginx --set msteams.url=https://outlook.office.com/webhook/YOUR/TEAMS/WEBHOOK "
     "--set msteams.proxy.url=my-http-proxy.com",
     [(D, BOX + "command", has("-msteams-url=https://outlook.office.com/webhook/YOUR/TEAMS/WEBHOOK", "-msteams-proxy-url=my-http-proxy.com"))]),
    ("S004-01", "loadtester", "install flagger-loadtester CHART -n flagger-system", [("Service/flagger-loadtester", "spec|ports|0|port", 80)]),
    ("S004-01", "grafana", "upgrade -i flagger-grafana CHART --namespace=monitoring-system --set url=http://prometheus.monitoring-system:9090 "
     "--set user=admin --set password=change-me",
     [("Secret/flagger-grafana", "data|user", "YWRtaW4="), ("ConfigMap/flagger-grafana-datasources", "data|datasources.yaml",
      has("url: http://prometheus.monitoring-system:9090"))]),
    ("S000-19, S002-14", "flagger", "upgrade -i flagger CHART -n istio-system --set crd.create=false --set meshProvider=istio "
     "--set metricsServer=http://prometheus:9090 --set slack.user=flagger --set slack.channel=general "
     "--set slack.url=https://hooks.slack.com/services/YOUR/SLACK/WEBHOOK",
     [(D, BOX + "command", has("-slack-channel=general", "-slack-user=flagger", "-slack-url=https://hooks.slack.com/services/YOUR/SLACK/WEBHOOK"))]),
]

# Folders of examples/ with HelmReleases of these charts: what they make by the values that are there.
RELEASES = [
    ("gitops-istio/flagger", "S000-03, S000-19", [
        (D, BOX + "command", has("-mesh-provider=istio", "-metrics-server=http://flagger-prometheus:9090", "-slack-user=flagger", "-slack-channel=general",
                                 "-slack-url=https://chat.example.com/services/put-yours-here")),
        (P, "spec|replicas", 1),
        ("Service/flagger-grafana", "metadata|name", "flagger-grafana"),
        ("ConfigMap/flagger-grafana-datasources", "data|datasources.yaml", has("url: http://flagger-prometheus.istio-system:9090"))]),
    ("gitops-istio/tester", "S000-09", [("Service/flagger-loadtester", "spec|ports|0|port", 80)]),
    ("gitops-flux-bootstrap/flagger", "S002-01, S002-14", [
        (D, BOX + "command", has("-mesh-provider=istio", "-slack-channel=general")),
        ("CustomResourceDefinition/canaries.flagger.app", "metadata", ABSENT)]),
]
