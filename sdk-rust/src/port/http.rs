//! The way over HTTP. What several invocations report at the same moment goes out in one request: while requests are under
//! way, what comes waits for the next one, and nothing waits when none is.

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Port, Request, Response};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// The largest reply, in bytes: a page is 4 MiB, an entry no more.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Requests with reports that are under way at once to one address.
const FLYING_MAX: usize = 2;

/// Reports that go together at most.
const TOGETHER_MAX: usize = 256;

/// Bytes of reports that go together at most, unless one alone has more.
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// A client with its connections.
pub(crate) struct Http(Arc<Shared>);

struct Shared {
    client: reqwest::Client,
    lines: Mutex<HashMap<Arc<str>, Line>>,
}

/// What goes to one address.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiting>,
    flying: usize,
}

/// How a report goes out.
enum Turn {
    Now(Flight, Request),
    Later(oneshot::Receiver<Result<Response, String>>),
}

/// A report that waits for a request.
struct Waiting {
    request: Request,
    reply: oneshot::Sender<Result<Response, String>>,
}

impl Http {
    /// `None` where no client can be made; the reason is logged.
    pub(crate) fn new() -> Option<Http> {
        let client =
            reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none()).build();
        match client {
            Ok(client) => Some(Http(Arc::new(Shared { client, lines: Mutex::default() }))),
            Err(error) => {
                tracing::warn!(%error, "failed to make an HTTP client: this app goes without checkpoints");
                None
            }
        }
    }
}

impl Port for Http {
    fn send(&self, request: Request) -> BoxFuture<'static, Result<Response, String>> {
        let shared = Arc::clone(&self.0);
        let Some(address) = request.together.clone() else {
            return async move { shared.alone(request).await }.boxed();
        };
        match shared.wait_in_line(&address, request) {
            Turn::Now(flight, request) => async move {
                // Who comes first is alone, and no task is made for it. What has come meanwhile flies on when the flight is dropped.
                let said = flight.shared.alone(request).await;
                drop(flight);
                said
            }
            .boxed(),
            Turn::Later(answer) => {
                async move { answer.await.unwrap_or_else(|_| Err("the request was given up".to_owned())) }.boxed()
            }
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, HashMap<Arc<str>, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A flight for a report when there is room for one more; else the report waits in its line.
    fn wait_in_line(self: &Arc<Shared>, address: &Arc<str>, request: Request) -> Turn {
        let mut lines = self.lines();
        let line = lines.entry(Arc::clone(address)).or_default();
        if line.flying < FLYING_MAX {
            line.flying += 1;
            let flight = Flight { shared: Arc::clone(self), address: Arc::clone(address), is_over: false };
            return Turn::Now(flight, request);
        }
        let (reply, answer) = oneshot::channel();
        line.waiting.push_back(Waiting { request, reply });
        Turn::Later(answer)
    }

    async fn alone(&self, Request { url, token, body, timeout, .. }: Request) -> Result<Response, String> {
        let request = match body {
            Some(body) => self.client.post(&*url).header("content-type", "application/json").body(body),
            None => self.client.get(&*url),
        };
        receive(request.bearer_auth(token).timeout(timeout)).await
    }

    async fn together(&self, address: &str, waiting: &[Waiting]) -> Result<Vec<Response>, String> {
        #[derive(Deserialize)]
        struct Replies<'a> {
            #[serde(borrow)]
            replies: Vec<One<'a>>,
        }
        #[derive(Deserialize)]
        struct One<'a> {
            status: u16,
            #[serde(borrow)]
            body: &'a RawValue,
        }
        let mut body = b"{\"reports\":[".to_vec();
        for (at, Waiting { request, .. }) in waiting.iter().enumerate() {
            body.extend_from_slice(if at == 0 { b"{\"token\":\"" } else { b",{\"token\":\"" });
            body.extend_from_slice(request.token.as_bytes());
            body.extend_from_slice(b"\",\"report\":");
            body.extend_from_slice(request.body.as_deref().unwrap_or(b"null"));
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        let request = self.client.post(address).header("content-type", "application/json").body(body);
        let timeout = waiting.iter().map(|one| one.request.timeout).max().unwrap_or_default();
        let Response { status, body } = receive(request.timeout(timeout)).await?;
        if status != 200 {
            return Ok(waiting.iter().map(|_| Response { status, body: body.clone() }).collect());
        }
        let Replies { replies } =
            serde_json::from_slice(&body).map_err(|error| format!("what came back is no list of replies: {error}"))?;
        if replies.len() != waiting.len() {
            return Err(format!("{} reports were answered with {} replies", waiting.len(), replies.len()));
        }
        // Bytes of their own: what is kept of one reply must not keep all the others.
        let own = |One { status, body }| Response { status, body: Bytes::copy_from_slice(body.get().as_bytes()) };
        Ok(replies.into_iter().map(own).collect())
    }
}

/// One request after the other to one address, as long as anything waits for it.
struct Flight {
    shared: Arc<Shared>,
    address: Arc<str>,
    is_over: bool,
}

impl Flight {
    async fn fly(mut self) {
        while let Some(waiting) = self.take() {
            self.carry(waiting).await;
        }
    }

    /// What has come and fits into one request. Nothing: the flight is over.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        let mut lines = self.shared.lines();
        let line = lines.get_mut(&self.address)?;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(next) = line.waiting.front() {
            bytes += next.request.body.as_ref().map_or(0, Bytes::len) + next.request.token.len();
            if !taken.is_empty() && (bytes > TOGETHER_BYTES_MAX || taken.len() == TOGETHER_MAX) {
                break;
            }
            taken.extend(line.waiting.pop_front());
        }
        if !taken.is_empty() {
            return Some(taken);
        }
        line.flying -= 1;
        self.is_over = true;
        if line.flying == 0 {
            lines.remove(&self.address);
        }
        None
    }

    async fn carry(&self, mut waiting: Vec<Waiting>) {
        // Whoever asked may be gone: then nobody waits for the answer.
        if waiting.len() == 1
            && let Some(Waiting { request, reply }) = waiting.pop()
        {
            let _ = reply.send(self.shared.alone(request).await);
            return;
        }
        match self.shared.together(&self.address, &waiting).await {
            Ok(replies) => waiting.into_iter().zip(replies).for_each(|(one, reply)| drop(one.reply.send(Ok(reply)))),
            Err(why) => waiting.into_iter().for_each(|one| drop(one.reply.send(Err(why.clone())))),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut lines = self.shared.lines();
        let Some(line) = lines.get_mut(&self.address) else { return };
        // What has come meanwhile flies on.
        if !line.waiting.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let next = Flight { shared: Arc::clone(&self.shared), address: Arc::clone(&self.address), is_over: false };
            drop(lines);
            runtime.spawn(next.fly());
            return;
        }
        line.flying -= 1;
        if line.flying == 0 {
            lines.remove(&self.address);
        }
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Response, String> {
    let mut response = request.send().await.map_err(|error| reason(&error))?;
    let status = response.status().as_u16();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| reason(&error))? {
        if body.len() + chunk.len() > REPLY_BYTES_MAX {
            return Err(format!("the reply is larger than {REPLY_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, body: Bytes::from(body) })
}

/// The error with its innermost cause, which says more.
fn reason(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::routing::post;
    use futures_util::future::join_all;
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::*;

    /// What a server was asked: at which address, and with what.
    #[derive(Clone)]
    struct Server {
        asked: Arc<Mutex<Vec<(&'static str, Value)>>>,
        /// Requests that may be answered.
        open: Arc<Semaphore>,
        /// Replies that are left out of each list.
        missing: usize,
    }

    impl Server {
        fn note(&self, url: &'static str, body: &Bytes) -> Value {
            let body: Value = serde_json::from_slice(body).unwrap();
            self.asked.lock().unwrap().push((url, body.clone()));
            body
        }

        async fn wait(&self) {
            self.open.acquire().await.unwrap().forget();
        }

        async fn is_asked(&self, times: usize) {
            for _ in 0..10_000 {
                if self.asked().len() >= times {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            panic!("it was not asked {times} times");
        }

        fn asked(&self) -> Vec<(&'static str, usize)> {
            let asked = self.asked.lock().unwrap();
            asked.iter().map(|(url, body)| (*url, body["reports"].as_array().map_or(1, Vec::len))).collect()
        }
    }

    async fn alone(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> String {
        let body = server.note("alone", &body);
        server.wait().await;
        json!({"n": body["n"], "token": headers["authorization"].to_str().unwrap()}).to_string()
    }

    async fn together(State(server): State<Server>, body: Bytes) -> String {
        let body = server.note("reports", &body);
        server.wait().await;
        let reply = |one: &Value| {
            let status = if one["token"] == "inv_7" { 409 } else { 200 };
            json!({"status": status, "body": {"n": one["report"]["n"], "token": one["token"]}})
        };
        let replies = body["reports"].as_array().unwrap().iter().skip(server.missing).map(reply);
        json!({"replies": replies.collect::<Vec<_>>()}).to_string()
    }

    async fn server(open: usize, missing: usize) -> (Server, Http, String) {
        let server = Server { asked: Arc::default(), open: Arc::new(Semaphore::new(open)), missing };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/alone", post(alone)).route("/reports", post(together));
        let router = router.with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, Http::new().unwrap(), url)
    }

    fn report(url: &str, n: u32) -> Request {
        Request {
            url: format!("{url}/alone").into(),
            token: format!("inv_{n}").into(),
            body: Some(format!("{{\"n\":{n}}}").into()),
            timeout: Duration::from_secs(10),
            together: Some(format!("{url}/reports").into()),
        }
    }

    type Sent = tokio::task::JoinHandle<Result<Response, String>>;

    async fn finished(sent: impl IntoIterator<Item = Sent>) -> Vec<Result<Response, String>> {
        let all = tokio::time::timeout(Duration::from_secs(20), join_all(sent)).await.unwrap();
        all.into_iter().map(Result::unwrap).collect()
    }

    fn heard(said: &Result<Response, String>) -> (u16, u64) {
        let said = said.as_ref().unwrap();
        (said.status, serde_json::from_slice::<Value>(&said.body).unwrap()["n"].as_u64().unwrap())
    }

    #[tokio::test]
    async fn what_comes_while_requests_are_under_way_goes_together() {
        let (server, http, url) = server(0, 0).await;
        let mut first = Vec::new();
        for n in [1, 2] {
            first.push(tokio::spawn(http.send(report(&url, n))));
            server.is_asked(n as usize).await;
        }
        let rest = [3, 4, 7].map(|n| tokio::spawn(http.send(report(&url, n))));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.asked(), [("alone", 1), ("alone", 1)], "two are under way, and no more");
        server.open.add_permits(9);
        let said = finished(first.into_iter().chain(rest)).await;
        assert_eq!(said.iter().map(heard).collect::<Vec<_>>(), [(200, 1), (200, 2), (200, 3), (200, 4), (409, 7)]);
        assert_eq!(server.asked()[2..], [("reports", 3)]);
        assert!(http.0.lines().is_empty(), "nothing is left of it");
    }

    #[tokio::test]
    async fn a_request_holds_no_more_than_the_server_takes() {
        let (server, http, url) = server(0, 0).await;
        let first = [1, 2].map(|n| tokio::spawn(http.send(report(&url, n))));
        let all: Vec<_> = (0..300).map(|n| tokio::spawn(http.send(report(&url, 1000 + n)))).collect();
        server.open.add_permits(99);
        let said = finished(first.into_iter().chain(all)).await;
        assert_eq!(heard(&said[301]), (200, 1299));
        let asked = server.asked();
        assert!(asked.iter().all(|(_, reports)| *reports <= TOGETHER_MAX), "{asked:?}");
        assert_eq!(asked.iter().map(|(_, reports)| reports).sum::<usize>(), 302);
    }

    #[tokio::test]
    async fn replies_that_do_not_fit_are_errors_for_all_and_there_is_room_again() {
        let (server, http, url) = server(0, 1).await;
        let first = [1, 2].map(|n| tokio::spawn(http.send(report(&url, n))));
        server.is_asked(2).await;
        let rest = [3, 4].map(|n| tokio::spawn(http.send(report(&url, n))));
        server.open.add_permits(99);
        finished(first).await;
        for said in finished(rest).await {
            assert!(said.is_err_and(|why| why.contains("2 reports were answered with 1 replies")));
        }
        assert_eq!(heard(&http.send(report(&url, 5)).await), (200, 5));
    }
}
