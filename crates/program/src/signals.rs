//! SIGTERM and SIGINT: the first is a request to stop, the second ends the process.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

/// Becomes true with the first signal. The second ends the process with code 1, after `farewell` (which has to be quick).
pub fn stop(farewell: impl FnOnce() + Send + 'static) -> Result<watch::Receiver<bool>, std::io::Error> {
    let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(obey(terminate, interrupt, stop, farewell));
    Ok(stopped)
}

async fn obey(mut terminate: Signal, mut interrupt: Signal, stop: watch::Sender<bool>, farewell: impl FnOnce()) {
    next(&mut terminate, &mut interrupt).await;
    info!("Stopping");
    stop.send_replace(true);
    next(&mut terminate, &mut interrupt).await;
    farewell();
    std::process::exit(1);
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
