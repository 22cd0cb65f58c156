//! Stands in for the load generators until they are there.

/// The commands that [`run`] answers to.
pub const COMMANDS: &[&str] = &["hey", "ghz"];

/// Says that there is no such command yet.
pub fn run(command: &str, _args: &[String]) -> i32 {
    eprintln!("{command}: this load generator is not part of the program yet");
    127
}
