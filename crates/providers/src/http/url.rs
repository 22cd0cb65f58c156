//! URLs as Go's `net/url` takes them apart: what is one, what is wrong with it, and how it is shown without its
//! password.
//!
//! Users write URLs into their objects; what is accepted, and the text of the error otherwise, is what they know. The
//! parts stay as written (percent-encoded), because they are only put together again. Source:
//! <https://pkg.go.dev/net/url>, RFC 3986.

use std::fmt::Write as _;

/// The parts of a URL, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// Lower case; empty when there is none.
    pub(crate) scheme: String,
    /// `user` or `user:password`.
    pub(crate) userinfo: Option<&'a str>,
    /// With the port; empty when there is none.
    pub(crate) host: &'a str,
    /// Begins with `/` or is empty, except where there is neither scheme nor host.
    pub(crate) path: &'a str,
    /// Without `?`.
    pub(crate) query: Option<&'a str>,
    /// What follows a scheme without `/`, such as the 9090 of `prometheus:9090`.
    opaque: bool,
}

/// Why a text is no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("net/url: invalid control character in URL")]
    Control,
    #[error("missing protocol scheme")]
    NoScheme,
    #[error("first path segment in URL cannot contain colon")]
    Colon,
    #[error("net/url: invalid userinfo")]
    Userinfo,
    #[error("missing ']' in host")]
    Bracket,
    #[error("invalid port {} after host", quoted(.0))]
    Port(String),
    #[error("invalid URL escape {}", quoted(.0))]
    Escape(String),
    #[error("invalid character {} in host name", quoted(.0))]
    Host(String),
}

impl<'a> Url<'a> {
    /// Takes a URL apart; it may be relative, and empty.
    pub(crate) fn parse(text: &'a str) -> Result<Self, UrlError> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(UrlError::Control);
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let mut url =
            Self { scheme: scheme.to_ascii_lowercase(), userinfo: None, host: "", path: rest, query, opaque: false };
        if !rest.starts_with('/') {
            let first = rest.split('/').next().unwrap_or_default();
            url.opaque = !url.scheme.is_empty();
            return if !url.opaque && first.contains(':') { Err(UrlError::Colon) } else { Ok(url) };
        }
        if let Some(rest) = rest.strip_prefix("//").filter(|rest| !url.scheme.is_empty() || !rest.starts_with('/')) {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (userinfo, host) =
                authority.rsplit_once('@').map_or((None, authority), |(userinfo, host)| (Some(userinfo), host));
            check_userinfo(userinfo.unwrap_or_default())?;
            check_host(host)?;
            (url.userinfo, url.host, url.path) = (userinfo, host, path);
        }
        check_escapes(url.path)?;
        Ok(url)
    }

    /// Whether it can be asked for as it is: it has a scheme, or is an absolute path.
    pub(crate) fn is_absolute(&self) -> bool {
        self.opaque || !self.scheme.is_empty() || self.path.starts_with('/')
    }

    /// The URL with another path and query. `userinfo`: with name and password, if there are any.
    pub(crate) fn with(&self, userinfo: bool, path: &str, query: Option<&str>) -> String {
        let mut text = if self.scheme.is_empty() { String::new() } else { format!("{}://", self.scheme) };
        if let Some(part) = self.userinfo.filter(|_| userinfo) {
            text.push_str(part);
            text.push('@');
        }
        text.push_str(self.host);
        text.push_str(path);
        if let Some(query) = query {
            text.push('?');
            text.push_str(query);
        }
        text
    }

    /// The path with more behind it, without `.`, `..` and empty segments.
    pub(crate) fn path_and(&self, more: &str) -> String {
        let mut segments = Vec::new();
        let own = if self.opaque { "" } else { self.path };
        for segment in own.split('/').chain(more.split('/')) {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        format!("/{}", segments.join("/"))
    }
}

/// The URL with `xxxxx` for its password; works for texts that are no URLs, too.
pub(crate) fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("//") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@').and_then(|(userinfo, host)| Some((userinfo.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}//{user}:xxxxx@{host}{path}"),
        None => text.to_owned(),
    }
}

/// A value of a query as browsers encode forms: space becomes `+`.
pub(crate) fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            // Writing to a text cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// The text in double quotes, as Go's `%q` writes what occurs in URLs.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            character if character.is_ascii_control() => drop(write!(quoted, "\\x{:02x}", u32::from(character))),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Scheme and what follows its colon; no scheme where there is none.
fn scheme(text: &str) -> Result<(&str, &str), UrlError> {
    let end = text.find(|character: char| !(character.is_ascii_alphanumeric() || "+-.".contains(character)));
    match end.map(|end| text.split_at(end)) {
        Some(("", rest)) if rest.starts_with(':') => Err(UrlError::NoScheme),
        Some((scheme, rest))
            if rest.starts_with(':') && scheme.starts_with(|first: char| first.is_ascii_alphabetic()) =>
        {
            Ok((scheme, rest.get(1..).unwrap_or_default()))
        }
        _ => Ok(("", text)),
    }
}

fn check_userinfo(userinfo: &str) -> Result<(), UrlError> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(character);
    if userinfo.chars().all(fits) { check_escapes(userinfo) } else { Err(UrlError::Userinfo) }
}

fn check_host(host: &str) -> Result<(), UrlError> {
    let port = if host.starts_with('[') {
        let (_, port) = host.rsplit_once(']').ok_or(UrlError::Bracket)?;
        port
    } else {
        host.rfind(':').and_then(|colon| host.get(colon..)).unwrap_or_default()
    };
    let digits = port.strip_prefix(':').or_else(|| port.is_empty().then_some(""));
    if !digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(UrlError::Port(port.to_owned()));
    }
    let fits = |character: &char| {
        !character.is_ascii() || character.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=:[]<>\"%".contains(*character)
    };
    match host.chars().find(|character| !fits(character)) {
        Some(character) => Err(UrlError::Host(character.to_string())),
        None => check_escapes(host),
    }
}

/// Every `%` must be followed by two hexadecimal digits.
fn check_escapes(text: &str) -> Result<(), UrlError> {
    for (at, _) in text.match_indices('%') {
        let escape: String = text.get(at..).unwrap_or_default().chars().take(3).collect();
        if escape.len() != 3 || !escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()) {
            return Err(UrlError::Escape(escape));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Url::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = Url::parse("HTTPS://me:pass@host:8443/a%20b/c?x=1&y#top").unwrap();
        assert_eq!(
            url,
            Url {
                scheme: "https".to_owned(),
                userinfo: Some("me:pass"),
                host: "host:8443",
                path: "/a%20b/c",
                query: Some("x=1&y"),
                opaque: false
            }
        );
        assert_eq!(url.with(true, "/other", url.query), "https://me:pass@host:8443/other?x=1&y");
        assert_eq!(url.with(false, "/other", None), "https://host:8443/other");
        assert_eq!(Url::parse("http://[::1]:80").unwrap().host, "[::1]:80");
    }

    #[test]
    fn a_name_and_a_port_look_like_a_scheme() {
        assert_eq!(Url::parse("prometheus:9090").unwrap().scheme, "prometheus");
        assert_eq!(error("127.0.0.1:9090"), "first path segment in URL cannot contain colon");
    }

    #[test]
    fn errors_read_as_go_writes_them() {
        assert_eq!(error("http://x\n"), "net/url: invalid control character in URL");
        assert_eq!(error(":80"), "missing protocol scheme");
        assert_eq!(error("http://a b/"), "invalid character \" \" in host name");
        assert_eq!(error("http://a:b/"), "invalid port \":b\" after host");
        assert_eq!(error("http://a/%zz"), "invalid URL escape \"%zz\"");
        assert_eq!(error("http://[::1/"), "missing ']' in host");
        assert_eq!(error("http://m e@a/"), "net/url: invalid userinfo");
    }

    #[test]
    fn paths_are_joined_and_cleaned() {
        for (base, whole) in
            [("", "/api/q"), ("/", "/api/q"), ("/prom", "/prom/api/q"), ("/prom//x/../", "/prom/api/q")]
        {
            assert_eq!(Url::parse(&format!("http://host{base}")).unwrap().path_and("api/q"), whole);
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(masked("https://me:p@ss@host/a@b:c?d"), "https://me:xxxxx@host/a@b:c?d");
        assert_eq!(masked("https://me@host/x"), "https://me@host/x");
        assert_eq!(masked("http://me:secret@a b"), "http://me:xxxxx@a b");
        assert_eq!(masked("nothing"), "nothing");
    }

    #[test]
    fn values_are_encoded_as_in_forms() {
        assert_eq!(form_encoded(" up{a=~\"x.*\"} é~"), "+up%7Ba%3D~%22x.%2A%22%7D+%C3%A9~");
    }
}
