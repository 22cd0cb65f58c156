//! Connections to the API servers, as the command line says.
//!
//! In-cluster, or by a kubeconfig that is named; `$KUBECONFIG` and `~/.kube/config` are never consulted. Each connection has its own request limit.
//! Source: operations notes, sections 1.2 and 2.2.

use crate::deadline::Deadline;
use crate::flags::{Options, VERSION};
use crate::limit::limit;
use http::header::{HeaderValue, USER_AGENT};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use runtime::Clusters;
use runtime::cluster::{Cluster, chain};
use tracing::warn;

/// What is said when nothing tells where the API server is.
const NO_CONFIGURATION: &str =
    "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// Why there is no connection, with the text for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The configuration of the cluster with the Canaries.
    #[error("Error building kubeconfig: {0}")]
    Main(String),
    /// Its client.
    #[error("Error building kubernetes clientset: {0}")]
    MainClient(String),
    /// The configuration of the cluster with the routing objects.
    #[error("Error building host kubeconfig: {0}")]
    Mesh(String),
    /// Its client.
    #[error("Error building mesh clientset: {0}")]
    MeshClient(String),
}

/// The API servers, and whether they are the same one (then routing objects get owner references).
pub async fn connect(options: &Options) -> Result<(Clusters, bool), ConnectError> {
    let main = configuration(&options.kubeconfig, &options.master).await.map_err(ConnectError::Main)?;
    let url = main.cluster_url.clone();
    let main = client(main, options).map_err(ConnectError::MainClient)?;
    if options.mesh_kubeconfig() == options.kubeconfig {
        return Ok((Clusters::single(Cluster::new(main)), true));
    }
    let mesh = configuration(options.mesh_kubeconfig(), &options.master).await.map_err(ConnectError::Mesh)?;
    let same = mesh.cluster_url == url;
    let mesh = client(mesh, options).map_err(ConnectError::MeshClient)?;
    Ok((Clusters { main: Cluster::new(main), mesh: Cluster::new(mesh) }, same))
}

/// The configuration that a kubeconfig (path or empty) and a URL (or empty) stand for.
async fn configuration(kubeconfig: &str, master: &str) -> Result<Config, String> {
    if !kubeconfig.is_empty() {
        let mut file = Kubeconfig::read_from(kubeconfig).map_err(|error| chain(&error))?;
        if !master.is_empty() {
            for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
                cluster.server = Some(master.to_owned());
            }
        }
        let options = KubeConfigOptions::default();
        return Config::from_custom_kubeconfig(file, &options).await.map_err(|error| chain(&error));
    }
    if !master.is_empty() {
        let url = master.parse().map_err(|error| format!("{master}: {error}"))?;
        return Ok(Config::new(url));
    }
    warn!("Neither --kubeconfig nor --master was specified.  Using the inClusterConfig.  This might not work.");
    Config::incluster_env().map_err(|error| {
        warn!("There is no service account to use: {}", chain(&error));
        NO_CONFIGURATION.to_owned()
    })
}

fn client(mut config: Config, options: &Options) -> Result<Client, String> {
    let agent = HeaderValue::from_str(&format!("flagger/{VERSION}")).map_err(|error| chain(&error))?;
    config.headers.push((USER_AGENT, agent));
    let builder = ClientBuilder::try_from(config).map_err(|error| chain(&error))?.with_layer(&Deadline);
    Ok(match limit(options.kubeconfig_qps, options.kubeconfig_burst) {
        Some(limit) => builder.with_layer(&limit).build(),
        None => builder.build(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// A kubeconfig file whose only cluster is at `server`; it is removed when dropped.
    struct File(std::path::PathBuf);

    impl File {
        fn new(server: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kubeconfig-{}", uuid::Uuid::new_v4()));
            let text = format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: a, user: a}}\n\
                 clusters:\n- name: a\n  cluster: {{server: \"{server}\"}}\nusers:\n- name: a\n  user: {{token: t0ken}}\n"
            );
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    async fn connected(kubeconfig: &str, mesh: &str, master: &str) -> Result<bool, ConnectError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = Options {
            kubeconfig: kubeconfig.to_owned(),
            kubeconfig_service_mesh: mesh.to_owned(),
            master: master.to_owned(),
            ..Options::default()
        };
        connect(&options).await.map(|(_, own_routes)| own_routes)
    }

    #[tokio::test]
    async fn routes_are_owned_only_where_the_owner_lives() {
        let (one, two) = (File::new("https://one:6443"), File::new("https://two:6443"));
        assert_eq!(connected(one.path(), "", "").await, Ok(true));
        assert_eq!(connected(one.path(), one.path(), "").await, Ok(true));
        assert_eq!(connected(one.path(), two.path(), "").await, Ok(false));
        assert_eq!(connected(one.path(), two.path(), "https://three").await, Ok(true), "-master redirects both");
    }

    #[tokio::test]
    async fn what_is_missing_is_told() {
        let told = connected("/nowhere/kubeconfig", "", "").await.unwrap_err().to_string();
        assert!(told.starts_with("Error building kubeconfig: "), "{told}");
        let one = File::new("https://one:6443");
        let told = connected(one.path(), "/nowhere/kubeconfig", "").await.unwrap_err().to_string();
        assert!(told.starts_with("Error building host kubeconfig: "), "{told}");
    }

    #[tokio::test]
    async fn requests_say_who_asks_and_with_which_token() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let file = File::new(&format!("http://{}", listener.local_addr().unwrap()));
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            let body = r#"{"major":"1","minor":"36","gitVersion":"v1.36.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&buffer[..length]).to_lowercase()
        });
        let options = Options { kubeconfig: file.path().to_owned(), ..Options::default() };
        let (clusters, _) = connect(&options).await.unwrap();
        assert_eq!(clusters.main.version().await, Ok("v1.36.0".to_owned()));
        let request = server.await.unwrap();
        assert!(request.contains(&format!("user-agent: flagger/{VERSION}\r\n")), "{request}");
        assert!(request.contains("authorization: bearer t0ken"), "{request}");
    }
}
