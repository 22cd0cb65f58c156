//! Serves a lab on loopback and prints its kubeconfig: `cargo run -p lab --example serve -- 8001 > lab.kubeconfig`.

use lab::{Lab, NodeOptions, Options, SystemClock};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |text| text.parse())?;
    let nodes = Some(NodeOptions { pods: true, ..NodeOptions::default() });
    let lab = Lab::new(Options { clock: Arc::new(SystemClock), nodes, ..Options::default() });
    let server = lab.serve(tokio::net::TcpListener::bind(("127.0.0.1", port)).await?)?;
    print!("{}", server.kubeconfig());
    std::future::pending::<()>().await;
    Ok(())
}
