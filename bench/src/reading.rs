//! Reads what a run publishes, and how long after it was said.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::Request;
use http_body_util::{BodyExt, Full};

use crate::load::{Client, histogram, record, since_1970};

/// What a reader has had of one stream.
pub struct Read {
    /// From saying to reading, in microseconds, of each message.
    pub delays: Histogram<u64>,
}

/// Reads a run's stream to its end. Each message is its number and the time at which it was said, in microseconds since 1970 on
/// this machine's clock; none may be missing, doubled or in another order.
pub async fn read(client: Client, server: String, run: String) -> Result<Read> {
    let request = Request::get(format!("{server}/v1/runs/{run}/stream")).body(Full::<Bytes>::default())?;
    let mut body = client.open(request).await?;
    let (mut delays, mut rest) = (histogram(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let came = since_1970()?;
        rest.extend_from_slice(&data);
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = rest.drain(..end + 2).collect();
            let event = std::str::from_utf8(&event)?;
            if event.contains("event: end") {
                return Ok(Read { delays });
            }
            let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
            let message: Message = serde_json::from_str(data).with_context(|| format!("`{event}` is no message"))?;
            let (number, said) = message.data;
            ensure!(number == delays.len(), "message {number} came in the place of {}", delays.len());
            record(&mut delays, came.saturating_sub(Duration::from_micros(said)));
        }
    }
    anyhow::bail!("the stream of {run} broke off after {} messages", delays.len())
}

#[derive(serde::Deserialize)]
struct Message {
    data: (u64, u64),
}
