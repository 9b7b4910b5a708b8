//! Publishing: messages for whoever reads the run's stream, or a channel that several runs share.
//!
//! They go out while the code works, each once. What an attempt of a step has published that comes to nothing is cut: a
//! reader ends with what the successful one said.

use std::future::poll_fn;
use std::pin::pin;

use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::context::Ctx;
use crate::error::Error;
use crate::raw::Raw;
use crate::replay::frame;
use crate::replay::voice::{MESSAGE_BYTES_MAX, Said};
use crate::step::Step;

/// The longest name of a topic or a channel, in bytes: the server's bound.
const NAME_BYTES_MAX: usize = 256;

impl Step {
    /// Publishes a message to whoever reads the run's stream, at once. Any JSON of at most 64 KiB.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn fetch(page: u64) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn report(ctx: Ctx, pages: u64) -> Result<(), Error> {
    ///     ctx.run("report", |step| async move {
    ///         for page in 0..pages {
    ///             fetch(page).await?;
    ///             step.publish("progress", page)?;
    ///         }
    ///         backstitch::Ok(())
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn publish(&self, topic: &str, data: impl Serialize) -> Result<(), Error> {
        self.say(None, topic, &data)
    }

    /// As [`Step::publish`], on a channel that has a name and that several runs may share.
    pub fn publish_on(&self, channel: &str, topic: &str, data: impl Serialize) -> Result<(), Error> {
        self.say(Some(channel), topic, &data)
    }

    /// Publishes each of a sequence of messages as it comes: the tokens of a model, the lines of a file. Pauses while the
    /// server is behind. Gives all of them.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # fn model(prompt: String) -> impl futures_util::Stream<Item = Result<String, std::io::Error>> + Send {
    /// #     futures_util::stream::iter([Ok(prompt)])
    /// # }
    /// async fn answer(ctx: Ctx, prompt: String) -> Result<String, Error> {
    ///     let tokens = ctx.run("answer", |step| async move { step.pipe("tokens", model(prompt)).await }).await?;
    ///     Ok(tokens.concat())
    /// }
    /// ```
    pub async fn pipe<T, E>(&self, topic: &str, messages: impl Stream<Item = Result<T, E>>) -> Result<Vec<T>, Error>
    where
        T: Serialize,
        E: Into<Error>,
    {
        let mut messages = pin!(messages);
        let mut all = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message.map_err(Into::into)?;
            self.publish(topic, &message)?;
            all.push(message);
            poll_fn(|cx| self.voice().0.core().poll_room(cx)).await;
        }
        Ok(all)
    }

    fn say(&self, channel: Option<&str>, topic: &str, data: &impl Serialize) -> Result<(), Error> {
        let said = said(channel, topic, data)?;
        let (replay, slot) = self.voice();
        let waker = replay.core().publish(slot, self.attempt(), said)?;
        // Whoever polls the body right now looks by itself what there is to send.
        if let Some(waker) = waker.filter(|_| frame::current() != Some(replay.frame(true))) {
            waker.wake();
        }
        Ok(())
    }
}

impl Ctx {
    /// Publishes a message to whoever reads the run's stream: once, however often the handler is replayed. Inside of a step
    /// use [`Step::publish`]. Any JSON of at most 64 KiB.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn handler(ctx: Ctx) -> Result<(), Error> {
    /// ctx.publish("stage", "searching")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn publish(&self, topic: &str, data: impl Serialize) -> Result<(), Error> {
        self.speak(None, topic, &data)
    }

    /// As [`Ctx::publish`], on a channel that has a name and that several runs may share.
    pub fn publish_on(&self, channel: &str, topic: &str, data: impl Serialize) -> Result<(), Error> {
        self.speak(Some(channel), topic, &data)
    }

    fn speak(&self, channel: Option<&str>, topic: &str, data: &impl Serialize) -> Result<(), Error> {
        let replay = self.replay();
        replay.check_place("publish")?;
        let said = said(channel, topic, data)?;
        let id = match self.path() {
            "" => "$publish".to_owned(),
            scope => format!("{scope}/$publish"),
        };
        let before = replay.run.published.get(&id).copied().unwrap_or(0);
        replay.core().speak(id, before, said)
    }
}

fn said(channel: Option<&str>, topic: &str, data: &impl Serialize) -> Result<Said, Error> {
    channel.map_or(Ok(()), |channel| check("channel", channel))?;
    check("topic", topic)?;
    let advice = "publish it in parts, or keep it elsewhere and publish where";
    let data = Raw::bounded(data, "a message", MESSAGE_BYTES_MAX, advice)?;
    Ok(Said { channel: channel.map(str::to_owned), topic: topic.to_owned(), data })
}

fn check(what: &str, name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('$');
    if fits && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!(
        "the {what} `{name}` cannot be published on: it has 1 to {NAME_BYTES_MAX} bytes without control characters, and does not \
         begin with `$`"
    );
    Err(Error::terminal("MisuseError", message))
}
