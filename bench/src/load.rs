//! Sends requests and times them, in a closed loop (so many at once, the next when one is answered) or in an open one (so
//! many a second, whatever the answers do). In an open loop a request is timed from the moment at which it was due and not
//! from the one at which it was sent, so that a server that stalls does not hide the requests which it kept from being sent
//! (*coordinated omission*, as Gil Tene calls it).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::task::JoinSet;

use crate::line::Line;

/// The longest latency that is told apart, in microseconds: a minute.
const LONGEST_US: u64 = 60_000_000;

/// A client for whatever is not a loop, the same for every system.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Default for Client {
    fn default() -> Client {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(4_096)
            .build(connector);
        Client { pool }
    }
}

impl Client {
    /// Sends a request and reads the whole answer. Anything but a success is an error with what was answered.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        let uri = request.uri().clone();
        let response = self.pool.request(request).await.with_context(|| format!("failed to ask {uri}"))?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{uri} was answered with {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

impl Client {
    /// Sends a request and gives the answer's body as it comes. Anything but a success is an error.
    pub async fn open(&self, request: Request<Full<Bytes>>) -> Result<BoxBody<Bytes, anyhow::Error>> {
        let uri = request.uri().clone();
        let response = self.pool.request(request).await.with_context(|| format!("failed to ask {uri}"))?;
        ensure!(response.status().is_success(), "{uri} was answered with {}", response.status());
        Ok(response.into_body().map_err(anyhow::Error::from).boxed())
    }
}

/// A request with a JSON body.
pub fn post(url: &str, body: impl Into<Bytes>) -> Result<Request<Full<Bytes>>> {
    let request = Request::post(url).header("content-type", "application/json");
    request.body(Full::new(body.into())).with_context(|| format!("failed to ask {url}"))
}

/// What a loop came to.
pub struct Measured {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Latencies in microseconds.
    pub latencies: Histogram<u64>,
}

impl Measured {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// A quantile of the latencies, in milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// Latencies in microseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("these bounds are allowed")
}

/// Records how long something took.
pub fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
}

/// The time, which this program measures.
#[expect(clippy::disallowed_methods, reason = "this program measures time, it is not measured by it")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time on the wall's clock, by which programs of one machine tell each other when something was.
#[expect(clippy::disallowed_methods, reason = "functions are told a time of the wall's clock, and tell one")]
pub fn since_1970() -> Result<Duration> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?)
}

/// Sends `open` requests at once, each the next as soon as the last is answered, for a while. `make` is given a number that
/// no other request gets.
pub async fn closed<M>(open: usize, time: Duration, make: M) -> Result<Measured>
where
    M: Fn(u64) -> Result<Request<Full<Bytes>>> + Send + Sync + 'static,
{
    let (make, numbers) = (Arc::new(make), Arc::new(AtomicU64::new(0)));
    let began = now();
    let mut workers = JoinSet::new();
    for _ in 0..open {
        let (make, numbers) = (make.clone(), numbers.clone());
        workers.spawn(async move {
            let (mut line, mut latencies) = (Line::default(), histogram());
            while began.elapsed() < time {
                let request = make(numbers.fetch_add(1, Ordering::Relaxed))?;
                let sent = now();
                line.send(request).await?;
                record(&mut latencies, sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    gather(workers, began).await
}

/// Sends so many requests in all, at most `open` at once.
pub async fn all<M>(open: usize, count: u64, make: M) -> Result<Measured>
where
    M: Fn(u64) -> Result<Request<Full<Bytes>>> + Send + Sync + 'static,
{
    let (make, numbers) = (Arc::new(make), Arc::new(AtomicU64::new(0)));
    let began = now();
    let mut workers = JoinSet::new();
    for _ in 0..open {
        let (make, numbers) = (make.clone(), numbers.clone());
        workers.spawn(async move {
            let (mut line, mut latencies) = (Line::default(), histogram());
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(latencies);
                }
                let request = make(number)?;
                let sent = now();
                line.send(request).await?;
                record(&mut latencies, sent.elapsed());
            }
        });
    }
    gather(workers, began).await
}

/// Sends `rate` requests a second for a while, whether the others are answered or not, at most 10,000 of them open.
pub async fn open<M>(client: &Client, rate: f64, time: Duration, make: M) -> Result<Measured>
where
    M: Fn(u64) -> Result<Request<Full<Bytes>>> + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let began = now();
    let mut workers = JoinSet::new();
    let mut latencies = histogram();
    for number in 0.. {
        let due = began + Duration::from_secs_f64(number as f64 / rate);
        if due.duration_since(began) >= time {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        ensure!(workers.len() < 10_000, "10,000 requests are open at {rate} a second: this is more than it can take");
        while let Some(done) = workers.try_join_next() {
            record(&mut latencies, done??);
        }
        let (client, make) = (client.clone(), make.clone());
        workers.spawn(async move {
            client.send(make(number)?).await?;
            anyhow::Ok(due.elapsed())
        });
    }
    while let Some(done) = workers.join_next().await {
        record(&mut latencies, done??);
    }
    Ok(Measured { seconds: began.elapsed().as_secs_f64(), latencies })
}

async fn gather(mut workers: JoinSet<Result<Histogram<u64>>>, began: Instant) -> Result<Measured> {
    let mut latencies = histogram();
    while let Some(done) = workers.join_next().await {
        latencies.add(done??)?;
    }
    Ok(Measured { seconds: began.elapsed().as_secs_f64(), latencies })
}
