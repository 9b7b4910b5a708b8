//! The functions that are measured, with the Rust SDK, on `PORT` of loopback; what they have counted is told on `SIDE_PORT`.

#![expect(clippy::disallowed_methods, reason = "a program of its own, that measures time and is told its ports")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use backstitch::prelude::*;
use backstitch::{Object, ObjectCtx};
use backstitch_bench::load::histogram;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the functions count.
struct Counts {
    done: AtomicU64,
    /// Bytes of the bodies of invocations.
    received: AtomicU64,
    late_us: Mutex<Histogram<u64>>,
}

impl Counts {
    fn add(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    fn add_late(&self, due_ms: u64) {
        let late = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_millis(due_ms)).unwrap_or_default();
        let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.late_us.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(late);
        self.add();
    }

    fn lateness(&self) -> String {
        let late = self.late_us.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |quantile| late.value_at_quantile(quantile) as f64 / 1e3;
        format!("{} {}", ms(0.5), ms(0.99))
    }
}

/// What ten functions are started by.
#[derive(Event, Serialize, Deserialize)]
#[event("bench/fan")]
struct Fan {
    number: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let (done, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let counts = Arc::new(Counts { done, received, late_us: Mutex::new(histogram()) });
    let (done, received, lateness) = (counts.clone(), counts.clone(), counts.clone());
    let side = Router::new()
        .route("/done", get(async move || done.done.load(Ordering::Relaxed).to_string()))
        .route("/received", get(async move || received.received.load(Ordering::Relaxed).to_string()))
        .route("/lateness", get(async move || lateness.lateness()));
    let side_listener = listener("SIDE_PORT").await?;
    tokio::spawn(async move { axum::serve(side_listener, side).await });
    let mut app = app(&counts);
    let router = match std::env::var("MODE").as_deref() {
        Ok("respond") => {
            app = app.outbound(false);
            app.router().layer(from_fn_with_state(counts, weighed))
        }
        _ => app.router(),
    };
    axum::serve(listener("PORT").await?, router).await?;
    Ok(())
}

/// Counts the bytes of a body by what its head says of them.
async fn weighed(State(counts): State<Arc<Counts>>, request: Request, next: Next) -> Response {
    let length = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    counts.received.fetch_add(length.unwrap_or(0), Ordering::Relaxed);
    next.run(request).await
}

async fn listener(variable: &str) -> Result<tokio::net::TcpListener> {
    let port: u16 = std::env::var(variable).with_context(|| format!("{variable} is not set"))?.parse()?;
    Ok(tokio::net::TcpListener::bind(("127.0.0.1", port)).await?)
}

fn app(counts: &Arc<Counts>) -> App {
    let (counted, woken, signalled) = (counts.clone(), counts.clone(), counts.clone());
    let mut app = App::new("bench")
        .dev(true)
        .function_fn("noop", |_: Ctx, input: u64| async move { Ok::<_, Error>(input) })
        .function_fn("steps", |ctx: Ctx, steps: u64| async move {
            for step in 0..steps {
                ctx.run(&format!("step-{step}"), |_| async move { Ok::<_, Error>(step) }).await?;
            }
            Ok::<_, Error>(steps)
        })
        .function_fn("slope", slope)
        .function_fn("publish", publish)
        .function_fn("count", move |_: Ctx, input: u64| {
            counted.add();
            async move { Ok::<_, Error>(input) }
        })
        .function_fn("nap", |ctx: Ctx, ms: u64| async move {
            ctx.sleep("nap", Duration::from_millis(ms)).await?;
            Ok::<_, Error>(ms)
        })
        .function_fn("until", move |ctx: Ctx, due_ms: u64| {
            let counts = woken.clone();
            async move {
                ctx.sleep_until("until", UNIX_EPOCH + Duration::from_millis(due_ms)).await?;
                counts.add_late(due_ms);
                Ok::<_, Error>(due_ms)
            }
        })
        .function_fn("wait", move |ctx: Ctx, input: u64| {
            let counts = signalled.clone();
            async move {
                ctx.signal::<u64>("go").await?;
                counts.add();
                Ok::<_, Error>(input)
            }
        });
    for nth in 0..10 {
        let counts = counts.clone();
        let options = FunctionOptions::new(format!("fan-{nth}")).on::<Fan>();
        app = app.function_fn(options, move |_: Ctx, fan: Fan| {
            counts.add();
            async move { Ok::<_, Error>(fan.number) }
        });
    }
    app.object(Object::new("counter").exclusive("add", |ctx: ObjectCtx, by: u64| async move {
        let total = ctx.get::<u64>("total")?.unwrap_or(0) + by;
        ctx.set("total", total)?;
        Ok::<_, Error>(total)
    }))
}

/// Milliseconds a step, of the first hundred and of the last hundred of so many. One invocation goes through all of them, so
/// its own clock may tell.
async fn slope(ctx: Ctx, steps: u64) -> Result<serde_json::Value, Error> {
    let (mut began, mut first) = (Instant::now(), 0.0);
    for step in 0..steps {
        if step == steps - 100 {
            began = Instant::now();
        }
        ctx.run(&format!("step-{step}"), |_| async move { Ok::<_, Error>(step) }).await?;
        if step == 99 {
            first = began.elapsed().as_secs_f64() * 10.0;
        }
    }
    let last = began.elapsed().as_secs_f64() * 10.0;
    Ok(serde_json::json!({ "first": first, "last": last }))
}

/// A step that says so many words, a hundred a second, each of them its number and the time at which it is said.
async fn publish(ctx: Ctx, messages: u64) -> Result<u64, Error> {
    let body = move |step: Step| async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        for number in 0..messages {
            ticks.tick().await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            step.publish("tokens", (number, u64::try_from(now.as_micros()).unwrap_or(u64::MAX)))?;
        }
        Ok::<_, Error>(messages)
    };
    ctx.run("publish", body).await
}
