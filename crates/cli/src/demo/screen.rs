//! What is shown: a log that scrolls, a line at a time, which works in any terminal, in a pipe and in CI. Colours only where somebody sees them.

use std::io::{IsTerminal, Write};
use tokio::time::Instant;

/// How a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// What happens regularly.
    Faint,
    /// A new act.
    Heading,
    /// What went well.
    Good,
    /// What did not.
    Bad,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "2",
            Self::Heading => "1",
            Self::Good => "32",
            Self::Bad => "31",
        }
    }
}

/// Stdout, as far as it listens.
#[derive(Debug)]
pub(super) struct Screen {
    colours: bool,
    start: Instant,
}

impl Screen {
    pub(super) fn new(no_colours: bool) -> Self {
        let wanted = !no_colours && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours: wanted && std::io::stdout().is_terminal(), start: Instant::now() }
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// A line with the time before it.
    pub(super) fn timed(&mut self, tone: Tone, text: &str) {
        let line = format!("{:5.1}s  {text}", self.seconds());
        self.line(tone, &line);
    }

    /// A line.
    pub(super) fn say(&mut self, text: &str) {
        self.line(Tone::Plain, text);
    }

    /// A line with an empty one before it.
    pub(super) fn heading(&mut self, text: &str) {
        self.line(Tone::Plain, "");
        self.line(Tone::Heading, text);
    }

    /// A line on stderr.
    pub(super) fn failure(text: &str) {
        let _ = writeln!(std::io::stderr(), "error: {text}");
    }

    pub(super) fn line(&mut self, tone: Tone, text: &str) {
        let code = tone.code();
        let mut stdout = std::io::stdout().lock();
        // Whoever closes the pipe wants no more of it; the exit code is still told.
        let _ = if self.colours && !code.is_empty() {
            writeln!(stdout, "\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            writeln!(stdout, "{text}")
        };
        let _ = stdout.flush();
    }
}

/// `######----` for 60 of 100, in ten characters.
pub(super) fn bar(percent: i64) -> String {
    let full = usize::try_from(percent.clamp(0, 100) / 10).unwrap_or(0);
    format!("{}{}", "#".repeat(full), "-".repeat(10 - full))
}

/// `97.3%`, or a dash where there is nothing to tell.
pub(super) fn percentage(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}%", (value * 10.0).floor() / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_ten_characters_long() {
        assert_eq!([bar(0), bar(35), bar(100), bar(250)], ["----------", "###-------", "##########", "##########"]);
    }

    #[test]
    fn a_rate_below_a_hundred_is_never_shown_as_a_hundred() {
        assert_eq!(percentage(Some(99.99)), "99.9%");
        assert_eq!(percentage(Some(100.0)), "100.0%");
        assert_eq!(percentage(None), "-");
    }
}
