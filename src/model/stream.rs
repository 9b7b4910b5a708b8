//! What handlers publish while they work: messages on channels, which place of a run's code said them, and what of it
//! was cut because the attempt that said it came to nothing. Plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RunId, StateKey, Text, Timestamp, Token};
use crate::limits::{CHANNEL_BYTES_MAX, CHANNEL_MESSAGES_MAX, CHANNEL_SEGMENTS, CHANNEL_SPLIT_MS, MESSAGES_KEPT_MS};

/// Where messages are read: the channel of one run, or one that several runs share under a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Channel(Text);

/// What the channels of runs begin with. Names that users choose cannot: `$` is reserved.
const OWN: &str = "$";

impl Channel {
    /// The channel that every run has of its own.
    pub fn of(run: RunId) -> Channel {
        Channel(format!("{OWN}{run}").into())
    }

    /// A channel by its name, which does not begin with `$`.
    pub fn named(name: &Text) -> Channel {
        Channel(name.clone())
    }

    /// As it stands in the tables.
    pub fn parse(text: Text) -> Channel {
        Channel(text)
    }

    /// The run that has the channel to itself; nothing of one with a name.
    pub fn run(&self) -> Option<RunId> {
        self.0.strip_prefix(OWN)?.parse().ok()
    }

    /// As it stands in the tables.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Under which key its [`ChannelHead`] is kept.
    pub fn state_key(&self) -> StateKey {
        StateKey::Channel(self.clone())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.0)
    }
}

/// Messages that were published together: one row, appended. Each has a number of its own, the last one that of the row;
/// or, where there are no data, the notice that messages were cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// The number of the last message, or of the notice.
    pub no: i64,
    /// The number of the first message, or of the first that was cut.
    pub first: i64,
    /// Where they are read.
    pub channel: Channel,
    /// The run's integer key.
    pub run_no: i64,
    /// The run.
    pub run: RunId,
    /// The step whose body said it; for a handler outside of bodies `$publish`, with its scopes before it.
    pub source: Text,
    /// Which attempt of the step.
    pub attempt: Option<u32>,
    /// What they are about.
    pub topic: Text,
    /// The messages, as a JSON array; nothing when this says that messages were cut.
    pub data: Option<super::Payload>,
    /// The number of the notice that says that these were cut.
    pub cut_by: Option<i64>,
    /// When they were taken.
    pub at: Timestamp,
}

/// How far one place of a run's code has come with what it publishes. It is there while more may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The run's integer key.
    pub run_no: i64,
    /// As in [`Messages::source`]; or `$channel`, which says that the run has published on its own channel.
    pub source: Text,
    /// Which attempt of the step speaks.
    pub attempt: Option<u32>,
    /// In which invocation it speaks.
    pub token: Option<Token>,
    /// How many messages it has published: the index of the next.
    pub next: u32,
    /// Where, and the number of the first message there: what is cut if nothing comes of the attempt.
    pub channels: Vec<(Channel, i64)>,
}

impl Stream {
    /// The source that stands for the run's own channel.
    pub const OWN_CHANNEL: &'static str = "$channel";

    /// What the sources of handlers outside of bodies end with.
    pub const HANDLER: &'static str = "$publish";

    /// Whether a source is a handler outside of bodies.
    pub fn is_of_handler(source: &str) -> bool {
        source.rsplit('/').next() == Some(Stream::HANDLER)
    }
}

/// What a channel holds, in pieces of which the oldest goes when it holds too much, or is old.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHead {
    /// The layout of this JSON.
    pub format: u32,
    /// The greatest number that was dropped; 0 when none was.
    pub floor: i64,
    /// Pieces, the oldest first.
    pub segments: Vec<Segment>,
}

/// Some messages of a channel that follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The number of its last message.
    pub last: i64,
    /// How many it has.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of them came.
    pub since: Timestamp,
    /// When the last of them came.
    pub until: Timestamp,
}

impl ChannelHead {
    /// The layout that this version writes.
    const FORMAT: u32 = 1;

    /// Takes so many messages up to this number. One that runs share is split by time, too, since its messages age one by one.
    pub fn add(&mut self, last: i64, messages: u64, bytes: u64, now: Timestamp, shared: bool) {
        self.format = ChannelHead::FORMAT;
        let room = |it: &&mut Segment| {
            it.messages < CHANNEL_MESSAGES_MAX / CHANNEL_SEGMENTS
                && it.bytes < CHANNEL_BYTES_MAX / CHANNEL_SEGMENTS
                && (!shared || now.since(it.since).0 < CHANNEL_SPLIT_MS)
        };
        match self.segments.last_mut().filter(room) {
            Some(segment) => {
                segment.last = last;
                segment.messages += messages;
                segment.bytes += bytes;
                segment.until = now;
            }
            None => self.segments.push(Segment { last, messages, bytes, since: now, until: now }),
        }
    }

    /// Gives up the oldest pieces until the channel is within its bounds. Returns the greatest number that goes.
    pub fn shrink(&mut self) -> Option<i64> {
        let held =
            |segments: &[Segment]| segments.iter().fold((0, 0), |(n, bytes), it| (n + it.messages, bytes + it.bytes));
        let over = |(messages, bytes): (u64, u64)| messages > CHANNEL_MESSAGES_MAX || bytes > CHANNEL_BYTES_MAX;
        let mut gone = None;
        while self.segments.len() > 1 && over(held(&self.segments)) {
            gone = Some(self.drop_first());
        }
        gone
    }

    /// Gives up the oldest piece, if it is as old as messages get. Returns the greatest number that goes.
    pub fn expire(&mut self, now: Timestamp) -> Option<i64> {
        let old = self.segments.first().is_some_and(|it| now.since(it.until).0 >= MESSAGES_KEPT_MS);
        old.then(|| self.drop_first())
    }

    /// Gives up the oldest piece, whatever its age. Returns the greatest number that goes.
    pub fn drop_first(&mut self) -> i64 {
        self.floor = self.segments.remove(0).last;
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_runs_and_names_do_not_meet() {
        let run = RunId(77);
        assert_eq!(Channel::of(run).run(), Some(run));
        assert_eq!(Channel::named(&run.to_string().into()).run(), None);
        assert_ne!(Channel::of(run), Channel::named(&run.to_string().into()));
    }

    #[test]
    fn a_full_channel_gives_up_its_oldest_piece_and_no_more() {
        let mut head = ChannelHead::default();
        let each = CHANNEL_MESSAGES_MAX / CHANNEL_SEGMENTS;
        for n in 1..=CHANNEL_SEGMENTS {
            head.add((n * each) as i64, each, 1, Timestamp(0), false);
            assert_eq!(head.shrink(), None, "{n}");
        }
        head.add((CHANNEL_MESSAGES_MAX + 1) as i64, 1, 1, Timestamp(0), false);
        assert_eq!((head.shrink(), head.floor), (Some(each as i64), each as i64));
        assert_eq!(head.shrink(), None);
        // One piece alone is never given up for its size.
        let mut head = ChannelHead::default();
        head.add(1, 1, CHANNEL_BYTES_MAX * 2, Timestamp(0), false);
        assert_eq!(head.shrink(), None);
    }

    #[test]
    fn pieces_of_shared_channels_age() {
        let mut head = ChannelHead::default();
        head.add(1, 1, 1, Timestamp(0), true);
        head.add(2, 1, 1, Timestamp(CHANNEL_SPLIT_MS as i64), true);
        assert_eq!(head.segments.len(), 2);
        assert_eq!(head.expire(Timestamp(MESSAGES_KEPT_MS as i64 - 1)), None);
        assert_eq!(head.expire(Timestamp(MESSAGES_KEPT_MS as i64)), Some(1));
        assert_eq!(head.expire(Timestamp(MESSAGES_KEPT_MS as i64)), None);
    }
}
