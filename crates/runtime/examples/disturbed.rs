//! The controller with faults between it and a real API server: `cargo run -p runtime --example disturbed -- KUBECONFIG [SEED [RATE]]`.
//!
//! SEED makes the faults (1 if there is none), RATE is the share of requests that meet each kind of fault (0.01). From time to time the server seems to be
//! away for up to a minute, refuses a kind, or forgets its history. Ctrl-C stops the controller and prints what was done to it.

use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lab::faults::{Faults, Rates, Weather};
use runtime::clock::Clock;
use runtime::cluster::Cluster;
use runtime::telemetry::Telemetry;
use runtime::{Clusters, Config, Operator, Receivers, outbound};
use std::error::Error;
use std::sync::Arc;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let kubeconfig = arguments.next().ok_or("give the path of a kubeconfig")?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let rate = arguments.next().map_or(Ok(0.01), |text| text.parse())?;
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let faults = Faults::new(seed);
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let client = ClientBuilder::try_from(config)?.with_layer(&faults).build();
    let mut operator = Operator::new(Config {
        clusters: Clusters::single(Cluster::new(client)),
        namespace: String::new(),
        settings: Arc::default(),
        clock: Clock::System,
        outbound: Arc::new(outbound::Client::default()),
        receivers: Receivers::default(),
        telemetry: Arc::new(Telemetry::new()?),
    });
    operator.sync().await?;
    faults.add_rates(&Rates::all(rate));
    let kinds = ["deployments.apps", "services", "canaries.flagger.app"];
    let weather = Weather { kinds: kinds.map(str::to_owned).to_vec(), ..Weather::default() };
    let (stop, stopped) = watch::channel(false);
    tokio::select! {
        () = faults.change_weather(weather) => {}
        () = operator.run(stopped) => {}
        answer = tokio::signal::ctrl_c() => answer?,
    }
    stop.send_replace(true);
    eprintln!("{}", faults.report());
    Ok(())
}
