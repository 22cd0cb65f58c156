//! The load generators as a program: `load hey ...`, `load ghz ...`. For trying and measuring; what is shipped is the load tester.

fn main() {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    std::process::exit(load::run(&command, &args));
}
