//! Connections to handlers: resolve once, ask the egress policy about every address, dial those that it allows, speak TLS
//! where the URL says so. All of it within one time limit.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::client::ClientError;
use super::egress::Egress;
use crate::limits::{CONNECT_MS, CONNECT_STAGGER_MS, RESOLVED_ADDRESSES_MAX};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Why there is no connection. Addresses that the policy refuses are not shown: they are not the reader's to know.
#[derive(Debug)]
pub(super) enum ConnectError {
    Forbidden { host: String },
    Unresolved { host: String, error: io::Error },
    Refused { at: SocketAddr },
    Failed { at: SocketAddr, error: io::Error },
    TimedOut { host: String },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Forbidden { host } => {
                write!(f, "the egress policy allows no address of {host}; an operator can change it with --egress")
            }
            ConnectError::Unresolved { host, error } => write!(f, "the name {host} cannot be resolved ({error})"),
            ConnectError::Refused { at } => write!(f, "connection refused by {at}; is the app running?"),
            ConnectError::Failed { at, error } => write!(f, "no connection to {at} ({error})"),
            ConnectError::TimedOut { host } => {
                write!(f, "no connection to {host} within {} s, TLS included", CONNECT_MS / 1_000)
            }
        }
    }
}

impl std::error::Error for ConnectError {}

/// Connects to `http` and `https` URLs.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<Dialer>,
}

impl Connector {
    /// A connector that trusts the machine's certificates and what the policy allows.
    pub(super) fn new(egress: Egress) -> Result<Connector, ClientError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError(error.to_string()))?
            .with_root_certificates(machine_roots())
            .with_no_client_auth();
        let dialer = Dialer { egress: Arc::new(egress) };
        let inner = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
        Ok(Connector { inner: inner.wrap_connector(dialer) })
    }
}

/// The certificates that the machine trusts. One that cannot be read must not keep the others from being used.
fn machine_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() || !found.errors.is_empty() || unusable > 0 {
        tracing::warn!(
            certificates.usable = roots.len(),
            certificates.unusable = unusable,
            errors = ?found.errors,
            "some of the machine's certificate authorities cannot be used; handlers behind https may be out of reach"
        );
    }
    roots
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Error;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let host = uri.host().unwrap_or_default().to_owned();
        let connecting = self.inner.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(Duration::from_millis(CONNECT_MS), connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectError::TimedOut { host }.into()),
            }
        })
    }
}

/// Dials what the egress policy allows.
#[derive(Clone)]
struct Dialer {
    egress: Arc<Egress>,
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = Error;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let egress = Arc::clone(&self.egress);
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            let addresses = allowed_addresses(&egress, &host, port).await?;
            let stream = dial(&host, addresses).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// The addresses of a host that may be dialled, in the resolver's order. What is dialled later is what was checked here.
async fn allowed_addresses(egress: &Egress, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let resolved: Vec<SocketAddr> = match literal {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let found = tokio::net::lookup_host((host, port)).await;
            let found = found.map_err(|error| ConnectError::Unresolved { host: host.to_owned(), error })?;
            found.take(RESOLVED_ADDRESSES_MAX).collect()
        }
    };
    let allowed: Vec<SocketAddr> = resolved.into_iter().filter(|address| egress.allows(address.ip())).collect();
    if allowed.is_empty() { Err(ConnectError::Forbidden { host: host.to_owned() }) } else { Ok(allowed) }
}

/// Dials the addresses one after the other, each a moment after the one before or at once when that fails; the first
/// connection wins (RFC 8305 without its sorting).
async fn dial(host: &str, addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut attempts = FuturesUnordered::new();
    let mut waiting = addresses.into_iter();
    let mut failure = ConnectError::Forbidden { host: host.to_owned() };
    loop {
        let next = waiting.next();
        let more = next.is_some();
        if let Some(at) = next {
            attempts.push(async move { (at, TcpStream::connect(at).await) });
        }
        let ended = if more {
            tokio::time::timeout(Duration::from_millis(CONNECT_STAGGER_MS), attempts.next()).await.unwrap_or(None)
        } else {
            match attempts.next().await {
                Some(ended) => Some(ended),
                None => return Err(failure),
            }
        };
        match ended {
            Some((_, Ok(stream))) => return Ok(stream),
            Some((at, Err(error))) => failure = failed(at, error),
            None => {}
        }
    }
}

fn failed(at: SocketAddr, error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { at },
        _ => ConnectError::Failed { at, error },
    }
}
