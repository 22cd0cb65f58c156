//! What a command says: its last bytes, however much it says.

/// Bytes that are kept for log lines.
pub const FOR_LOG: usize = 1024 * 1024;
/// Bytes that are kept for an answer.
pub const FOR_ANSWER: usize = 4 * 1024 * 1024;

/// The end of a stream, in at most twice as much memory.
#[derive(Debug)]
pub struct Tail {
    limit: usize,
    bytes: Vec<u8>,
    dropped: u64,
}

impl Tail {
    /// Keeps the last `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: Vec::new(), dropped: 0 }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > self.limit.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let over = self.bytes.len().saturating_sub(self.limit);
        self.dropped += over as u64;
        drop(self.bytes.drain(..over));
    }

    /// What is kept; if that is not all, a line before it says so.
    pub fn finish(mut self) -> Vec<u8> {
        self.cut();
        if self.dropped == 0 {
            return self.bytes;
        }
        let mut all = format!("[the first {} bytes are left out]\n", self.dropped).into_bytes();
        all.append(&mut self.bytes);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_in_bounded_memory() {
        let mut tail = Tail::new(4);
        let mut most = 0;
        for chunk in [&b"abcdefg"[..], b"hi", b"", b"jklmnopqrstuvw", b"xyz"] {
            tail.push(chunk);
            most = most.max(tail.bytes.len());
        }
        assert!(most <= 8, "{most}");
        assert_eq!(String::from_utf8(tail.finish()).unwrap(), "[the first 22 bytes are left out]\nwxyz");
    }

    #[test]
    fn what_fits_is_as_it_was() {
        let mut tail = Tail::new(4);
        tail.push(b"ab");
        tail.push(b"cd");
        assert_eq!(tail.finish(), b"abcd");
        assert_eq!(Tail::new(4).finish(), b"");
    }
}
