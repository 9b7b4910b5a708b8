//! Connections: clients that say nothing, speak slowly, speak HTTP/2, and a server that stops while they are there.

use std::net::SocketAddr;
use std::time::Duration;

use backstitch_server::api;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::world::World;

async fn serve(world: &World) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(api::serve(listener, world.router.clone(), world.stop.subscribe())))
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One request on a connection of its own.
async fn probe(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200"));
}

/// Timers pass at once while nobody has anything to do, so that no test waits for real seconds.
#[tokio::test]
async fn clients_that_never_finish_a_request_are_shown_out() {
    let world = World::open().await;
    let (address, _task) = serve(&world).await;
    for begun in ["", "PRI * HT", "GET /healthz HTTP/1.1\r\nhost: local"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        // Connections are accepted in order: when this one is answered, the server has the first one.
        probe(address).await;
        tokio::time::pause();
        let said = rest(&mut stream);
        tokio::pin!(said);
        let early = tokio::time::timeout(Duration::from_secs(9), &mut said).await;
        assert!(early.is_err(), "{begun:?} was cut off before its time: {early:?}");
        let said = tokio::time::timeout(Duration::from_secs(3), said).await.expect("the connection is closed");
        tokio::time::resume();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{begun:?}: {said}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let world = World::open().await;
    let (address, _task) = serve(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let world = World::open().await;
    let (address, _task) = serve(&world).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 400"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let many = "a: b\r\n".repeat(150);
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn http_2_is_spoken_too() {
    let world = World::open().await;
    let (address, _task) = serve(&world).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = http::Request::get("http://localhost/healthz").body(Empty::<Bytes>::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"{"));
    }
    drop(client);
    connection.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_lets_open_requests_end_and_joins_everything() {
    let world = World::open().await;
    let (address, task) = serve(&world).await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"}") {
        idle.read_buf(&mut seen).await.unwrap();
    }
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /v1/runs/{run}/result?wait=5m HTTP/1.1\r\nhost: localhost\r\n\r\n");
    waiting.write_all(request.as_bytes()).await.unwrap();
    // Connections are accepted in order: when this one is answered, the server has the ones before.
    probe(address).await;

    world.stop.send_replace(true);
    let said = rest(&mut waiting).await;
    assert!(said.starts_with("HTTP/1.1 202"), "{said}");
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("every connection ends").unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the server still listens");
}
