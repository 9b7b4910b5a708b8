//! Handlers whose words can be told apart: two steps of one run say them side by side, each word with the process, the
//! invocation and the attempt that says it, and each step returns what it said. In a process of its own, in either language.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backstitch::prelude::*;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};

use super::handlers::AppProcess;

/// The language of a handler.
#[derive(Clone, Copy)]
pub(super) enum Language {
    TypeScript,
    Rust,
}

impl Language {
    /// Serves the app `tell` at this port, as who was killed there before did.
    pub(super) async fn serve(self, port: u16) -> AppProcess {
        match self {
            Language::TypeScript => AppProcess::node("streams.app.mjs", port, &[]).await,
            Language::Rust => AppProcess::rust("e2e::telling::child", port).await,
        }
    }
}

/// What `tell` is asked for: so many words of each step, with such a pause before each. The first attempts of the step `left` throw
/// in the middle.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Tale {
    pub(super) words: u32,
    pub(super) ms: u64,
    pub(super) throws: u32,
}

async fn tell(ctx: Ctx, tale: Tale) -> Result<serde_json::Value, Error> {
    static INVOCATIONS: AtomicU32 = AtomicU32::new(0);
    ctx.publish("stage", "begun")?;
    let invocation = INVOCATIONS.fetch_add(1, Ordering::Relaxed) + 1;
    let retry = Retry::attempts(9).initial_interval(Duration::from_millis(20)).factor(1.0);
    let side = |side: &'static str| {
        let body = move |step: Step| async move {
            let voice = format!("{}.{invocation}.{}", std::process::id(), step.attempt());
            let throws_at = (side == "left" && step.attempt() <= tale.throws).then_some(tale.words / 2);
            step.pipe("words", words(voice, tale, throws_at)).await
        };
        ctx.run(side, body).retry(retry.clone())
    };
    let (left, right) = backstitch::try_join!(side("left"), side("right"))?;
    ctx.publish("stage", "done")?;
    Ok(serde_json::json!({"left": left, "right": right}))
}

fn words(
    voice: String,
    tale: Tale,
    throws_at: Option<u32>,
) -> impl Stream<Item = Result<String, std::io::Error>> + Send {
    stream::unfold(0, move |n| {
        let word = format!("{voice} {n}");
        async move {
            if n == tale.words {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(tale.ms)).await;
            let thrown = (throws_at == Some(n)).then(|| std::io::Error::other("lost the thread"));
            Some((thrown.map_or(Ok(word), Err), n + 1))
        }
    })
}

/// Serves the app until it is killed.
#[tokio::test]
#[ignore = "the handler process of the tests of streams"]
#[expect(clippy::disallowed_methods, reason = "whoever starts this process says where it listens")]
async fn child() {
    let port: u16 = std::env::var("PORT").expect("a port").parse().expect("a port");
    let options = FunctionOptions::new("tell").retry(Retry::attempts(9).initial_interval(Duration::from_millis(20)));
    let app = App::new("tell").dev(true).function_fn(options, tell);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("a free port");
    println!("http://{}", listener.local_addr().expect("it listens"));
    axum::serve(listener, app.router()).await.expect("the app is served");
}
