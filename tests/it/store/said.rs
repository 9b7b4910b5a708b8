//! Random messages on random channels, for stores to be compared by: published, cut, forgotten.

use backstitch_server::model::{
    Change, Channel, ChannelHead, Messages, Payload, RunHead, StateRow, Stream, Timestamp, Token,
};
use backstitch_server::store::MessagesPage;

use super::world::Dice;

const SOURCES: [&str; 3] = ["llm", "items/größe%2F1/llm:2", "$publish"];

/// What was said so far.
#[derive(Default)]
pub(super) struct Said {
    last: i64,
}

impl Said {
    /// The next changes, if any run is there to speak.
    pub(super) fn changes(&mut self, dice: &mut Dice, runs: &[RunHead]) -> Vec<Change> {
        if runs.is_empty() || dice.below(4) > 0 {
            return Vec::new();
        }
        let run = &runs[dice.below(runs.len())];
        let (channel, source) = (channel(dice, run), SOURCES[dice.below(3)]);
        let stream = Stream {
            run_no: run.run_no,
            source: source.into(),
            attempt: (dice.below(2) == 0).then_some(2),
            token: (dice.below(2) == 0).then_some(Token { epoch: 1, counter: 2, run: run.id }),
            next: 3,
            channels: (0..dice.below(3)).map(|n| (channel.clone(), n as i64)).collect(),
        };
        match dice.below(9) {
            8 => {
                let mut head = ChannelHead { floor: dice.below(3) as i64, ..ChannelHead::default() };
                head.add(self.last, 1, 2, Timestamp(1_700_000_000_000), false);
                let value = Payload::trusted(serde_json::to_string(&head).unwrap());
                vec![Change::StatePut(StateRow { key: channel.state_key(), wake_at: None, value })]
            }
            0 => vec![Change::MessagesDropped(channel, dice.below(self.last as usize + 2) as i64)],
            1 => vec![Change::StreamPut(stream)],
            2 => vec![Change::StreamDeleted(stream.run_no, stream.source)],
            3 => {
                self.last += 1;
                let first = dice.below(self.last as usize) as i64 + 1;
                vec![Change::MessagesCut(messages(run, channel, source, (first, self.last), None))]
            }
            n => {
                let count = dice.below(3) as i64 + 1;
                self.last += count;
                let data = if n == 4 { "x".repeat(40_000) } else { "né\\n".to_owned() };
                let all = vec![format!("\"{data}\""); count as usize].join(",\n");
                let data = Some(Payload::trusted(format!("[{all}]")));
                let numbers = (self.last - count + 1, self.last);
                vec![Change::MessagesAdded(messages(run, channel, source, numbers, data))]
            }
        }
    }

    /// Some page of some channel.
    pub(super) fn page(&self, dice: &mut Dice, run: Option<&RunHead>) -> MessagesPage {
        let channel = run.map_or_else(|| Channel::named(&"news".into()), |run| channel(dice, run));
        MessagesPage { channel, after: dice.below(self.last as usize + 1) as i64, limit: dice.below(4) + 1 }
    }
}

fn channel(dice: &mut Dice, run: &RunHead) -> Channel {
    match dice.below(3) {
        0 => Channel::named(&"news".into()),
        1 => Channel::named(&"größe/ß; drop table messages".into()),
        _ => Channel::of(run.id),
    }
}

fn messages(run: &RunHead, channel: Channel, source: &str, no: (i64, i64), data: Option<Payload>) -> Messages {
    Messages {
        no: no.1,
        first: no.0,
        channel,
        run_no: run.run_no,
        run: run.id,
        source: source.into(),
        attempt: (source == "llm").then_some(1),
        topic: if data.is_some() { "tokens".into() } else { "".into() },
        data,
        cut_by: None,
        at: Timestamp(1_700_000_000_000 + no.1),
    }
}
