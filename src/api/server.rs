//! Connections: accepted within their bound, served over HTTP/1.1 and HTTP/2, and joined when the server stops. A client
//! that opens a connection and says nothing, or speaks slower than any client would, is shown out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::limits::{
    ACCEPT_PAUSE_MS, CONNECTIONS_MAX, DRAIN_MS, HEADER_BYTES_MAX, HEADER_READ_MS, HEADERS_MAX, HEARTBEAT_MS,
    KEEP_ALIVE_MS, STREAMS_PER_CONNECTION_MAX,
};

/// Serves until `stop` turns true; then refuses new connections, lets open requests finish, and returns when every
/// connection has ended, or has been ended because it took longer than [`DRAIN_MS`].
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, place) = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        connections.spawn(connection(stream, place, router.clone(), graceful.watcher()));
    }
    drop(listener);
    let all = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(Duration::from_millis(DRAIN_MS), all).await.is_err() {
        tracing::warn!(connections.open = connections.len(), "connections were cut because they outlasted the stop");
    }
    connections.shutdown().await;
}

/// The next connection, with its place among those that may be open.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely: it gets better when connections end.
                tracing::error!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "a connection was gone before it was served");
        return;
    }
    let spoke = Arc::new(Notify::new());
    let service = {
        let spoke = spoke.clone();
        service_fn(move |request: Request<Incoming>| {
            spoke.notify_one();
            router.clone().oneshot(request.map(Body::new))
        })
    };
    let builder = builder();
    let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::pin!(served);
    // hyper's own timer begins after the protocol is known, so that the first bytes need one of ours.
    let first = tokio::time::timeout(Duration::from_millis(HEADER_READ_MS), spoke.notified());
    let ended = tokio::select! {
        ended = &mut served => ended,
        first = first => match first {
            Ok(()) => served.await,
            Err(_) => Ok(()),
        },
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
    drop(place);
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Also the longest silence between two requests: longer than load balancers keep their connections.
        .header_read_timeout(Duration::from_millis(KEEP_ALIVE_MS))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_millis(HEARTBEAT_MS))
        .keep_alive_timeout(Duration::from_millis(HEADER_READ_MS))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32);
    builder
}
