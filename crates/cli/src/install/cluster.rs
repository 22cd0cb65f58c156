//! The requests of `install` and `uninstall`: server-side apply, deletion, and waiting, each with words for what stands in the way.

use super::{NO_CLUSTER, Place, REFUSED, Trouble};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, ValidationDirective};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use runtime::cluster::chain;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Who is told to have written the fields.
const MANAGER: &str = "kubectl-flagger";
/// How often it is looked while waiting.
const PAUSE: Duration = Duration::from_millis(500);

/// The cluster that something is installed into.
pub(super) struct Cluster {
    client: Client,
}

impl Cluster {
    /// Connects, and makes sure that somebody answers.
    pub(super) async fn connect(place: &Place) -> Result<Self, Trouble> {
        let nowhere = |words: String| Trouble(NO_CLUSTER, words);
        let options = KubeConfigOptions { context: place.context.clone(), ..KubeConfigOptions::default() };
        let config = match &place.kubeconfig {
            Some(path) => match Kubeconfig::read_from(path) {
                Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
                Err(error) => Err(error),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config.map_err(|error| nowhere(format!("cannot read the kubeconfig: {}", chain(&error))))?;
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| nowhere(chain(&error)))?;
        let version = client.apiserver_version().await;
        version.map_err(|error| nowhere(format!("the API server at {url} does not answer: {}", chain(&error))))?;
        Ok(Self { client })
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let resource = resource(object);
        match text(object, "/metadata/namespace") {
            "" => Api::all_with(self.client.clone(), &resource),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &resource),
        }
    }

    async fn find(&self, object: &Value) -> Result<Option<Value>, Trouble> {
        match self.api(object).get_opt(text(object, "/metadata/name")).await {
            Ok(found) => Ok(found.and_then(|found| serde_json::to_value(found).ok())),
            Err(error) => Err(refused("reading", object, &error)),
        }
    }

    /// Applies them in their order. With `dry_run` nothing is kept; what lies in a namespace that is still to be made can then not be checked.
    pub(super) async fn apply(&self, objects: &[Value], namespace: &str, dry_run: bool) -> Result<(), Trouble> {
        let place = ::install::objects::namespace(namespace);
        let present = self.find(&place).await?.is_some();
        for object in objects {
            let (is_place, inside) = (*object == place, !text(object, "/metadata/namespace").is_empty());
            if is_place && present {
                continue;
            }
            if dry_run && inside && !present {
                println!("{} not checked: there is no namespace {namespace} yet", name(object));
                continue;
            }
            self.apply_one(object, dry_run).await?;
            println!("{} applied{}", name(object), if dry_run { " (dry run)" } else { "" });
        }
        Ok(())
    }

    async fn apply_one(&self, object: &Value, dry_run: bool) -> Result<(), Trouble> {
        // What other tools have written of these objects is ours now: that is what installing over it means.
        let mut parameters = PatchParams::apply(MANAGER).force();
        parameters.field_validation = Some(ValidationDirective::Strict);
        parameters.dry_run = dry_run;
        let answer = self.api(object).patch(text(object, "/metadata/name"), &parameters, &Patch::Apply(object)).await;
        answer.map(drop).map_err(|error| refused("applying", object, &error))
    }

    /// Waits until the controller's pods are ready.
    pub(super) async fn ready(&self, namespace: &str, patience: Duration) -> Result<(), Trouble> {
        let wanted = ::install::objects::deployment(&::install::objects::Settings::new(namespace));
        let end = Instant::now() + patience;
        loop {
            let present = self.find(&wanted).await?.unwrap_or_default();
            if is_ready(&present) {
                println!("the controller is ready");
                return Ok(());
            }
            if Instant::now() >= end {
                let seconds = patience.as_secs();
                let why = self.what_stands_in_the_way(&present, namespace).await;
                return Err(Trouble(REFUSED, format!("the controller is not ready after {seconds} s: {why}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The first pod that says why it does not run, else the Deployment's own conditions.
    async fn what_stands_in_the_way(&self, deployment: &Value, namespace: &str) -> String {
        let pods = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let pods: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &pods);
        let pods = pods.list(&ListParams::default().labels("app=flagger")).await.map(|list| list.items);
        let mut pods = pods.unwrap_or_default().into_iter().filter_map(|pod| serde_json::to_value(pod).ok());
        pods.find_map(|pod| trouble_of_pod(&pod))
            .or_else(|| trouble_of_deployment(deployment))
            .unwrap_or_else(|| format!("look at `kubectl -n {namespace} describe deployment flagger`"))
    }

    /// Deletes those that are there, in this order.
    pub(super) async fn delete(&self, objects: &[Value]) -> Result<(), Trouble> {
        for object in objects {
            match self.api(object).delete(text(object, "/metadata/name"), &DeleteParams::default()).await {
                Ok(_) => println!("{} deleted", name(object)),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(refused("deleting", object, &error)),
            }
        }
        Ok(())
    }

    /// Waits until none of them is there any more.
    pub(super) async fn gone(&self, objects: &[Value], patience: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + patience;
        for object in objects {
            while self.find(object).await?.is_some() {
                if Instant::now() >= end {
                    let words = format!(
                        "{} is still there after {} s: some of its objects have finalizers, e.g. Canaries with revertOnDeletion that no controller has given \
                         back; the controller is left running",
                        name(object),
                        patience.as_secs()
                    );
                    return Err(Trouble(REFUSED, words));
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// The one namespace that the installed controller watches; empty for all.
    pub(super) async fn watched(&self, namespace: &str) -> Result<String, Trouble> {
        let wanted = ::install::objects::deployment(&::install::objects::Settings::new(namespace));
        let present = self.find(&wanted).await?.unwrap_or_default();
        let arguments = present.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
        let mut watched =
            arguments.into_iter().flatten().filter_map(|argument| argument.as_str()?.strip_prefix("-namespace="));
        Ok(watched.next_back().unwrap_or_default().to_owned())
    }
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or_default()
}

fn resource(object: &Value) -> ApiResource {
    let (group, version) = text(object, "/apiVersion").split_once('/').unwrap_or(("", text(object, "/apiVersion")));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text(object, "/kind")))
}

/// As kubectl says it: `deployment.apps/flagger`.
fn name(object: &Value) -> String {
    let resource = resource(object);
    let kind = resource.kind.to_lowercase();
    let dot = if resource.group.is_empty() { "" } else { "." };
    format!("{kind}{dot}{}/{}", resource.group, text(object, "/metadata/name"))
}

fn refused(doing: &str, object: &Value, error: &kube::Error) -> Trouble {
    let (words, hint) = match error {
        kube::Error::Api(status) if status.code == 403 => {
            (status.message.clone(), "; installing needs the permissions of cluster-admin")
        }
        kube::Error::Api(status) => (status.message.clone(), ""),
        other => (chain(other), ""),
    };
    Trouble(REFUSED, format!("{doing} {}: {words}{hint}", name(object)))
}

fn is_ready(deployment: &Value) -> bool {
    let wanted = number(deployment, "/spec/replicas");
    let seen = number(deployment, "/status/observedGeneration") >= number(deployment, "/metadata/generation");
    let enough = |field: &str| number(deployment, &format!("/status/{field}")) >= wanted;
    let old = number(deployment, "/status/replicas") > number(deployment, "/status/updatedReplicas");
    deployment.get("spec").is_some() && seen && enough("updatedReplicas") && enough("availableReplicas") && !old
}

fn trouble_of_pod(pod: &Value) -> Option<String> {
    let containers = pod.pointer("/status/containerStatuses").and_then(Value::as_array)?;
    let waiting = containers.iter().find_map(|container| container.pointer("/state/waiting"))?;
    let reason = text(waiting, "/reason");
    let told = format!("pod {}: {reason} {}", text(pod, "/metadata/name"), text(waiting, "/message"));
    (!reason.is_empty() && reason != "ContainerCreating").then(|| told.trim_end().to_owned())
}

fn trouble_of_deployment(deployment: &Value) -> Option<String> {
    let conditions = deployment.pointer("/status/conditions").and_then(Value::as_array)?;
    let failing = |condition: &&Value| {
        matches!(
            (text(condition, "/type"), text(condition, "/status")),
            ("ReplicaFailure", "True") | ("Progressing" | "Available", "False")
        )
    };
    conditions.iter().find(failing).map(|condition| text(condition, "/message").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ready_is_what_runs_the_new_template_alone() {
        let deployment = |observed: i64, replicas: i64, updated: i64, available: i64| {
            json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {"observedGeneration": observed, "replicas": replicas,
                "updatedReplicas": updated, "availableReplicas": available}})
        };
        assert!(is_ready(&deployment(2, 1, 1, 1)));
        assert!(!is_ready(&deployment(1, 1, 1, 1)), "not looked at yet");
        assert!(!is_ready(&deployment(2, 2, 1, 2)), "the old one still runs");
        assert!(!is_ready(&deployment(2, 1, 1, 0)));
        assert!(!is_ready(&Value::Null), "it is not there");
    }

    #[test]
    fn what_a_pod_waits_for_is_told() {
        let waiting = |state: Value| json!({"metadata": {"name": "flagger-1"}, "status": {"containerStatuses": [{"state": state}]}});
        let pulled = waiting(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        assert_eq!(trouble_of_pod(&pulled).as_deref(), Some("pod flagger-1: ImagePullBackOff no such image"));
        assert_eq!(trouble_of_pod(&waiting(json!({"waiting": {"reason": "ContainerCreating"}}))), None);
        assert_eq!(trouble_of_pod(&waiting(json!({"running": {}}))), None);
    }
}
