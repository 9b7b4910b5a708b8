//! Who may ask at all, as long as the API has no keys. A server that listens on loopback can still be reached by every web
//! page that its user opens: a page may send requests to `localhost`, or have its own name resolve to 127.0.0.1. So
//! requests for another host are refused, and so are writes that a page of another origin makes.

use http::uri::Authority;
use http::{HeaderMap, Method, Uri, header};

use super::error::{Code, Problem};

/// The hosts that a server is asked for.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Whether only names of this machine are taken.
    local_only: bool,
    /// The host of the public address.
    public_host: Option<String>,
}

impl Guard {
    /// For a server that listens on loopback: names of this machine, and the host of its public address.
    pub fn local(public_url: Option<&str>) -> Guard {
        Guard { local_only: true, ..Guard::anywhere(public_url) }
    }

    /// For a server that whoever reaches it may use, under whatever name.
    pub fn anywhere(public_url: Option<&str>) -> Guard {
        let public_host = public_url.and_then(|url| url.parse::<Uri>().ok()).and_then(|url| host_of(url.authority()?));
        Guard { local_only: false, public_host }
    }

    /// Whether a web page of another origin asks.
    pub(super) fn is_other_origin(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return false };
        let origin = origin.to_str().ok().and_then(|origin| host_of(origin.parse::<Uri>().ok()?.authority()?));
        origin.is_none() || (origin != asked_host(uri, headers) && origin != self.public_host)
    }

    /// Lets a request in, or says why not.
    pub(super) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let host = asked_host(uri, headers);
        let known = |host: &str| is_local(host) || self.public_host.as_deref() == Some(host);
        if self.local_only && !host.as_deref().is_some_and(known) {
            let shown = host.unwrap_or_default();
            return Err(Problem::new(
                Code::UnknownHost,
                format!(
                    "failed to take a request for the host `{shown}`: this server listens for its own machine only; \
                     if it is meant to be reached under that name, start it with --public-url"
                ),
            ));
        }
        if method.is_safe() || !self.is_other_origin(uri, headers) {
            return Ok(());
        }
        Err(Problem::new(
            Code::CrossOrigin,
            "failed to take a write from a web page of another origin: send it from a program, or through your own backend",
        ))
    }
}

fn asked_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    match uri.authority() {
        Some(authority) => host_of(authority),
        None => host_of(&headers.get(header::HOST)?.to_str().ok()?.parse().ok()?),
    }
}

fn host_of(authority: &Authority) -> Option<String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Names that no name server of somebody else decides on.
fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "host.docker.internal"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(guard: &Guard, method: Method, host: &str, origin: Option<&str>, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let answer = guard.check(&method, &Uri::from_static("/v1/events"), &headers);
        assert_eq!(answer.is_ok(), expected, "{method} {host} {origin:?}: {answer:?}");
    }

    #[test]
    fn strange_hosts_are_refused_on_loopback() {
        let guard = Guard::local(Some("https://hooks.example.com/x"));
        for host in ["localhost:8484", "127.0.0.1", "127.9.9.9:1", "[::1]:8484", "app.localhost", "hooks.example.com"] {
            check(&guard, Method::GET, host, None, true);
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil.example:8484", ""] {
            check(&guard, Method::GET, host, None, false);
            check(&Guard::anywhere(None), Method::GET, host, None, true);
        }
    }

    #[test]
    fn pages_of_other_origins_cannot_write() {
        let guard = Guard::local(None);
        check(&guard, Method::POST, "localhost:8484", Some("http://localhost:8484"), true);
        check(&guard, Method::POST, "localhost:8484", Some("https://evil.example"), false);
        check(&guard, Method::POST, "localhost:8484", Some("null"), false);
        check(&guard, Method::GET, "localhost:8484", Some("https://evil.example"), true);
        check(&Guard::anywhere(None), Method::POST, "api.example", Some("https://evil.example"), false);
        check(&Guard::anywhere(Some("https://p.example")), Method::POST, "10.1.1.1", Some("https://p.example"), true);
    }
}
