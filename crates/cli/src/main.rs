//! The binary `kubectl-flagger`: what people run by hand. As `kubectl flagger` it is a plugin of kubectl.
//!
//! Only reads the command line and picks the command; each command is a module. Exit codes: 0 done, 1 not as it should be, 2 wrong usage, 3 could not start.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod demo;
mod given;
mod install;
mod lab;
mod manifests;
mod rehearse;
mod render;
mod validate;

/// Progressive delivery by hand: see it work, look at it, check it before it runs.
#[derive(Debug, Parser)]
#[command(name = "kubectl-flagger", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a whole story on this machine, without a cluster: a good release is promoted, a bad one is rolled back, real requests all the while.
    ///
    /// Everything happens in this process and on loopback, on ports that the system picks. Takes about forty seconds.
    /// Exit codes: 0 the story went as it should; 1 it did not, and the last lines say how; 3 it could not start.
    Demo(demo::Options),
    /// Prints the objects that a Canary produces, from manifests alone, at any weight.
    ///
    /// Exit codes: 0 printed; 1 the objects cannot be made, and why; 2 the manifests cannot be read, or no Canary is meant.
    Render(render::Options),
    /// Tells everything that is wrong with manifests and can be told without a cluster.
    ///
    /// Exit codes: 0 nothing, or warnings only; 1 errors (with --strict: or warnings); 2 the manifests cannot be read.
    Validate(validate::Options),
    /// Serves a Kubernetes API on this machine, for kubectl or for any controller, until Ctrl-C.
    ///
    /// A lab: it has the kinds of Canaries, Istio and the Gateway API, simulated nodes, a gateway that splits requests, and runs no containers.
    /// Prints `export KUBECONFIG=...`, or runs a command with it: `kubectl-flagger lab -- kubectl get namespaces`.
    /// Exit codes: 0 ended by a signal; that of the command; 3 it could not start.
    Lab(lab::Options),
    /// Installs the controller into the cluster of the kubeconfig, or prints what would be installed.
    ///
    /// Definitions, permissions, account and Deployment, by server-side apply; then it waits until the controller is ready. Run again, it upgrades.
    /// Exit codes: 0 installed (or printed); 1 refused, or not ready in time, and why; 2 wrong usage; 3 no cluster.
    #[command(after_long_help = install::EXAMPLES)]
    Install(install::Options),
    /// Takes the controller out of the cluster. Definitions and Canaries stay, unless --crds is given.
    ///
    /// Exit codes: as those of install.
    Uninstall(install::Removal),
    /// Shows a release before it happens: your own manifests, the real controller, a cluster in this process, simulated time.
    ///
    /// The Canary is initialised, then its target gets a new image. Told are the timeline, who is asked what, where 10,000 requests would go,
    /// and the objects that are made and changed. Nothing is sent anywhere: metrics and hooks answer as told here.
    /// Exit codes: 0 promoted; 1 rolled back, or not ended in time; 2 broken input; 3 it could not start.
    #[command(after_long_help = rehearse::EXAMPLES)]
    Rehearse(rehearse::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(options) => demo::main(&options),
        Command::Render(options) => render::main(&options),
        Command::Validate(options) => validate::main(&options),
        Command::Lab(options) => lab::main(&options),
        Command::Install(options) => install::install(&options),
        Command::Uninstall(options) => install::uninstall(&options),
        Command::Rehearse(options) => rehearse::main(&options),
    }
}
