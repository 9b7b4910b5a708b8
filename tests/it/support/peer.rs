//! Something that listens where a handler should be, and says what the test tells it to, byte by byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the peer does next on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// Writes these bytes.
    Bytes(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Writes these bytes again and again until the other side goes away.
    Forever(Vec<u8>),
    /// Cuts the connection with a reset.
    Reset,
    /// Closes the connection in order.
    Close,
}

impl Say {
    pub(crate) fn text(text: impl Into<String>) -> Say {
        Say::Bytes(text.into().into_bytes())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The invocation's token, as an SDK reads it.
    pub(crate) fn token(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("an invocation is JSON");
        body["token"].as_str().expect("an invocation has a token").to_owned()
    }
}

type Script = dyn Fn(&Received) -> Vec<Say> + Send + Sync;

/// A listening peer. Stops when dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start(script: impl Fn(&Received) -> Vec<Say> + Send + Sync + 'static) -> Peer {
        Peer::start_on(0, script).await
    }

    /// On a port where another one was before.
    pub(crate) async fn start_on(port: u16, script: impl Fn(&Received) -> Vec<Say> + Send + Sync + 'static) -> Peer {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let received = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Arc<Script>, _) = (Arc::new(script), received.clone());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, script.clone(), seen.clone()));
            }
        });
        Peer { address, received, connections, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/backstitch", self.address)
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that came so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no test panics with the lock").clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Vec<Received>>>) {
    while let Some(request) = read(&mut stream).await {
        seen.lock().expect("no test panics with the lock").push(request.clone());
        for say in script(&request) {
            let done = match say {
                Say::Bytes(bytes) => stream.write_all(&bytes).await,
                Say::Pause(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                Say::Forever(bytes) => loop {
                    if let Err(error) = stream.write_all(&bytes).await {
                        break Err(error);
                    }
                },
                Say::Reset => {
                    let _ = stream.set_zero_linger();
                    return;
                }
                Say::Close => return,
            };
            if done.is_err() {
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = bytes.split_off(head + 4);
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received { method, path, headers, body })
}

/// A whole response.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Say> {
    let mut text = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    vec![Say::text(format!("{text}\r\n{body}"))]
}

/// The headers of an SDK.
pub(crate) const SDK: [(&str, &str); 3] =
    [("backstitch-sdk", "test/1.0"), ("backstitch-deployment", "v1;hash-1"), ("content-type", "application/json")];
