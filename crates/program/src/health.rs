//! `PROGRAM healthcheck [URL]`: a probe for images that hold nothing but the program.
//!
//! Asks the program that already runs, through the one HTTP client. Says on stderr what is wrong.

use crate::outbound::{Client, Outbound};
use providers::http::Request;
use std::process::ExitCode;
use std::time::Duration;

/// The first argument that asks for it.
const WORD: &str = "healthcheck";
/// Where the charts have our programs listen.
const USUAL: &str = "http://localhost:8080/healthz";
/// Shorter than the time limit of the charts' probes.
const PATIENCE: Duration = Duration::from_secs(4);

/// The probe, if the arguments (without the program's name) ask for one: 0 for an answer of 200 to 299, else 1; 2 for arguments that make no sense.
pub fn asked(arguments: &[String]) -> Option<ExitCode> {
    let (word, rest) = arguments.split_first()?;
    if word != WORD {
        return None;
    }
    let url = match rest {
        [] => USUAL,
        [url] if !url.starts_with('-') => url,
        _ => {
            eprintln!("usage: {WORD} [URL]   (URL is {USUAL} unless given)");
            return Some(ExitCode::from(2));
        }
    };
    Some(match probe(url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{url}: {why}");
            ExitCode::FAILURE
        }
    })
}

fn probe(url: &str) -> Result<(), String> {
    // An error says that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let response =
        runtime.block_on(Client::default().send(Request::get(url, PATIENCE))).map_err(|error| error.message)?;
    if (200..300).contains(&response.status) { Ok(()) } else { Err(format!("answered {}", response.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// A server that answers one request so.
    fn server(answer: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthz", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        url
    }

    #[test]
    fn a_probe_succeeds_if_the_answer_is_good() {
        assert_eq!(probe(&server("200 OK")), Ok(()));
        assert_eq!(probe(&server("503 Service Unavailable")), Err("answered 503".to_owned()));
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(probe(&format!("http://{closed}/")).unwrap_err().contains("refused"));
        assert!(probe("nonsense").is_err());
    }

    #[test]
    fn other_arguments_are_none_of_its_business() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert!(asked(&words(&[])).is_none());
        assert!(asked(&words(&["-version"])).is_none());
        assert!(asked(&words(&["-port", "1", "healthcheck"])).is_none());
        assert!(asked(&words(&["healthcheck", "-x"])).is_some());
    }
}
