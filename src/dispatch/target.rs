//! Where an app is, as its owner wrote it: a URL that is parsed once, by the rules of the web, and passed on as it was
//! printed again; and headers that go out with every request.

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::limits::{APP_HEADER_BYTES_MAX, APP_HEADERS_MAX, URL_BYTES_MAX};

/// Why a URL cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is too long.
    #[error("failed to read the URL: it has {0} bytes, at most {1} are allowed")]
    TooLong(usize, usize),
    /// It is not a URL.
    #[error("failed to read the URL `{url}`: {reason}; write it in full, such as https://shop.example/api/backstitch")]
    Malformed {
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its scheme is another one.
    #[error("failed to take the URL `{0}`: only http and https are called")]
    Scheme(String),
    /// It carries a user or a password.
    #[error("failed to take the URL: it carries credentials, which would be shown and logged; put them into `headers`")]
    Credentials,
}

/// Reads a URL as people write it, and prints it as it will be called: host in its canonical form, no fragment.
pub fn target_url(text: &str) -> Result<String, TargetError> {
    url_of_at_most(URL_BYTES_MAX, text)
}

/// The same for a URL with a bound of its own.
pub(super) fn url_of_at_most(bytes_max: usize, text: &str) -> Result<String, TargetError> {
    if text.len() > bytes_max {
        return Err(TargetError::TooLong(text.len(), bytes_max));
    }
    let malformed = |reason: String| TargetError::Malformed { url: text.chars().take(200).collect(), reason };
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(malformed("it contains white space or control characters".to_owned()));
    }
    let mut url = Url::parse(text).map_err(|error| malformed(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TargetError::Scheme(text.chars().take(200).collect()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(malformed("it has no host".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    url.set_fragment(None);
    let printed = url.to_string();
    // The two libraries that read URLs here must agree.
    printed.parse::<http::Uri>().map_err(|error| malformed(error.to_string()))?;
    Ok(printed)
}

/// The address for people: without the query, where bypass tokens stand.
pub(super) fn address_shown(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

/// Why an app's headers cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadersError {
    /// There are too many.
    #[error("failed to take the headers: there are {0}, at most {APP_HEADERS_MAX} are allowed")]
    TooMany(usize),
    /// One is too long.
    #[error("failed to take the header `{0}`: at most {APP_HEADER_BYTES_MAX} bytes are allowed")]
    TooLong(String),
    /// A name or value is not one. Values are secrets and are not repeated.
    #[error("failed to take the header `{0}`: {1}")]
    Malformed(String, &'static str),
    /// The server sets it itself.
    #[error("failed to take the header `{0}`: the server sets it itself")]
    Reserved(String),
}

/// Headers that would change what a request means, or that the server sets itself.
const RESERVED: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
    "traceparent",
    "proxy-connection",
    "authorization",
];

/// Checks the headers that an app's owner wants on every request.
pub fn check_headers(headers: &[(String, String)]) -> Result<(), HeadersError> {
    if headers.len() > APP_HEADERS_MAX {
        return Err(HeadersError::TooMany(headers.len()));
    }
    for (name, value) in headers {
        let shown: String = name.chars().take(60).collect();
        if name.len() + value.len() > APP_HEADER_BYTES_MAX {
            return Err(HeadersError::TooLong(shown));
        }
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(HeadersError::Malformed(shown, "this is no name of a header"));
        };
        if HeaderValue::from_str(value).is_err() {
            return Err(HeadersError::Malformed(shown, "its value has characters that a header cannot carry"));
        }
        if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("backstitch-") {
            return Err(HeadersError::Reserved(shown));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_printed_as_they_are_called() {
        for (text, printed) in [
            ("http://localhost:3000/api/backstitch", "http://localhost:3000/api/backstitch"),
            ("HTTP://Shop.Example", "http://shop.example/"),
            ("https://shop.example:443/a?b=c#d", "https://shop.example/a?b=c"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://2130706433/", "http://127.0.0.1/"),
            ("http://0177.0.0.1/", "http://127.0.0.1/"),
            ("http://127.1/", "http://127.0.0.1/"),
            ("http://１２７.０.０.１/", "http://127.0.0.1/"),
            ("http://127。0。0。1/", "http://127.0.0.1/"),
            ("http://[::ffff:a9fe:a9fe]/", "http://[::ffff:a9fe:a9fe]/"),
            ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ] {
            assert_eq!(target_url(text).as_deref(), Ok(printed), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_called_says_why() {
        for text in [
            "",
            "localhost:3000",
            "/api",
            "http://",
            "http://a b/",
            "http://a\r\nb/",
            "http://[::1/",
            "http://a:99999/",
        ] {
            assert!(matches!(target_url(text), Err(TargetError::Malformed { .. } | TargetError::Scheme(_))), "{text}");
        }
        for text in ["ftp://a/", "file:///etc/passwd", "javascript:alert(1)", "gopher://a/"] {
            assert!(matches!(target_url(text), Err(TargetError::Scheme(_) | TargetError::Malformed { .. })), "{text}");
        }
        for text in ["http://a@b/", "http://a:b@c/", "http://good.example%40@evil.example/"] {
            assert_eq!(target_url(text), Err(TargetError::Credentials), "{text}");
        }
        assert!(matches!(target_url(&format!("http://a/{}", "x".repeat(3_000))), Err(TargetError::TooLong(..))));
    }

    #[test]
    fn headers_may_not_change_what_a_request_means() {
        let header = |name: &str, value: &str| check_headers(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(header("x-vercel-protection-bypass", "s3cret"), Ok(()));
        assert_eq!(header("CF-Access-Client-Id", "x"), Ok(()));
        for name in
            ["Host", "content-length", "Transfer-Encoding", "connection", "authorization", "Backstitch-Protocol"]
        {
            assert!(matches!(header(name, "x"), Err(HeadersError::Reserved(_))), "{name}");
        }
        assert!(matches!(header("a b", "x"), Err(HeadersError::Malformed(..))));
        assert!(matches!(header("a", "x\r\ny: z"), Err(HeadersError::Malformed(..))));
        assert!(matches!(header("a", &"x".repeat(9_000)), Err(HeadersError::TooLong(_))));
        assert!(matches!(check_headers(&vec![("a".into(), "b".into()); 33]), Err(HeadersError::TooMany(33))));
    }
}
