//! One connection for one worker, which sends a request after the other: what a closed loop needs, at less cost than a place
//! in a pool. The connection is driven by whoever waits for the answer, so that no other task is woken. It refuses https,
//! and more than one request at once.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection, opened at the first request, and again when the server has closed it.
#[derive(Default)]
pub struct Line {
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

impl Line {
    /// Sends a request and reads the whole answer. Anything but a success is an error with what was answered.
    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Bytes> {
        let uri = request.uri().clone();
        let authority = uri.authority().context("the address names no host")?;
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
        *request.uri_mut() = Uri::from(uri.path_and_query().context("the address has no path")?.clone());
        if self.open.as_ref().is_none_or(|open| open.sender.is_closed()) {
            let stream =
                TcpStream::connect(authority.as_str()).await.with_context(|| format!("failed to reach {uri}"))?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            self.open = Some(Open { sender, connection });
        }
        let Some(Open { sender, connection }) = &mut self.open else { bail!("there is no connection") };
        let exchange = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        let (status, body) = tokio::select! {
            biased;
            answered = exchange => answered.with_context(|| format!("failed to ask {uri}"))?,
            ended = connection => {
                self.open = None;
                ended?;
                bail!("{uri} closed the connection before it had answered");
            }
        };
        ensure!(status.is_success(), "{uri} was answered with {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}
