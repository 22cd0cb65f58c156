//! Reading the body of a request: bounded in size, time and number.

use bytes::{Buf, Bytes};
use http::Request;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Body;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest body that is accepted, in bytes. A command cannot be longer than 128 KiB anyway.
pub const LONGEST: usize = 1024 * 1024;
/// How much of a longer body is read and thrown away, so that a client that sends before it listens gets the answer.
const THROWN_AWAY: usize = 256 * 1024 * 1024;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bodies that are read at once; further ones wait.
const AT_ONCE: usize = 64;

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It is longer than [`LONGEST`].
    #[error("the request body is longer than {LONGEST} bytes")]
    TooLong,
    /// It took longer than a minute.
    #[error("the request body did not arrive within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// The connection broke.
    #[error("{0}")]
    Broken(String),
}

/// Reads bodies.
#[derive(Debug)]
pub struct Reader(Semaphore);

impl Default for Reader {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Reader {
    /// The whole body.
    pub async fn read<B>(&self, request: Request<B>) -> Result<Bytes, Unread>
    where
        B: Body + Unpin,
        B::Error: std::fmt::Display,
    {
        // It is never closed.
        let _turn = self.0.acquire().await;
        let (head, body) = request.into_parts();
        let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > LONGEST) && head.headers.contains_key(EXPECT) {
            // The client asks before it sends.
            return Err(Unread::TooLong);
        }
        tokio::time::timeout(PATIENCE, collect(body)).await.unwrap_or(Err(Unread::TooSlow))
    }
}

async fn collect<B>(mut body: B) -> Result<Bytes, Unread>
where
    B: Body + Unpin,
    B::Error: std::fmt::Display,
{
    let (mut whole, mut thrown_away) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::Broken(error.to_string()))?;
        let Ok(mut data) = frame.into_data() else { continue };
        let length = data.remaining();
        if thrown_away > 0 || whole.len() + length > LONGEST {
            whole = Vec::new();
            thrown_away += length;
            if thrown_away > THROWN_AWAY {
                break;
            }
        } else {
            whole.extend_from_slice(&data.copy_to_bytes(length));
        }
    }
    if thrown_away > 0 { Err(Unread::TooLong) } else { Ok(Bytes::from(whole)) }
}
