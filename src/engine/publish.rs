//! What handlers publish. Each message is taken once: the place of the code that says it counts what it says. What a step's
//! body says belongs to its attempt, in one invocation: it is cut as soon as it is known that nothing comes of that, or
//! when another one speaks. A channel that holds too much forgets its oldest.

use serde_json::value::RawValue;

use super::draft::{Draft, Part};
use super::turns::Turn;
use crate::limits::{CHANNELS_PER_STEP_MAX, MESSAGES_KEPT_MS, STREAMS_PER_RUN_MAX};
use crate::model::{
    Change, Channel, ChannelHead, EntryId, EntryKind, Key, Messages, Payload, PublishOp, RunId, RunStatus, Span,
    StateRow, Stream, Text, Token,
};

/// Takes what a handler publishes. Returns why it may not, if it may not.
pub(super) fn publish(draft: &mut Draft<'_>, turn: &Turn, op: &PublishOp) -> Part<Option<String>> {
    let run = turn.token.run;
    if !is_current(draft, run, op)? {
        return Ok(None);
    }
    let channel = op.channel.as_ref().map_or_else(|| Channel::of(run), Channel::named);
    draft.require([Key::Channel(channel.clone())])?;
    let token = op.attempt.map(|_| turn.token);
    let found = draft.run(run)?;
    let (run_no, known) = (found.head.run_no, found.streams.get(&op.source).cloned());
    let other = known.as_ref().is_some_and(|known| (known.attempt, known.token) != (op.attempt, token));
    if other {
        cut(draft, run, &op.source)?;
    } else if known.is_none() && draft.run(run)?.streams.len() >= STREAMS_PER_RUN_MAX {
        return Ok(Some(format!(
            "the run publishes from {STREAMS_PER_RUN_MAX} places of its code at once; publish from fewer scopes"
        )));
    }
    let fresh =
        || Stream { run_no, source: op.source.clone(), attempt: op.attempt, token, next: 0, channels: Vec::new() };
    let mut stream = known.filter(|_| !other).unwrap_or_else(fresh);
    let Some((data, count)) = unheard(op, stream.next) else { return Ok(None) };
    let no = next_no(draft, count);
    let first = no - i64::from(count) + 1;
    // What a handler says outside of bodies is never cut.
    if op.attempt.is_some() && !stream.channels.iter().any(|(known, _)| *known == channel) {
        if stream.channels.len() >= CHANNELS_PER_STEP_MAX {
            return Ok(Some(format!(
                "step `{}` publishes on more than {CHANNELS_PER_STEP_MAX} channels; publish on one, by topics",
                op.source
            )));
        }
        stream.channels.push((channel.clone(), first));
    }
    stream.next = op.index.saturating_add(op.count);
    put(draft, run, stream)?;
    fill(draft, run, &channel, no, count, data.len())?;
    let messages = Messages {
        no,
        first,
        channel,
        run_no,
        run,
        source: op.source.clone(),
        attempt: op.attempt,
        topic: op.topic.clone(),
        data: Some(data),
        cut_by: None,
        at: draft.now(),
    };
    draft.others.push(Change::MessagesAdded(messages));
    Ok(None)
}

/// Whether what a body says still counts: its step has not settled, and this is the attempt that is to be reported next.
fn is_current(draft: &mut Draft<'_>, run: RunId, op: &PublishOp) -> Part<bool> {
    let Some(attempt) = op.attempt else { return Ok(true) };
    let run = draft.run(run)?;
    let Some(idx) = run.find(&op.source) else { return Ok(attempt == 1) };
    let entry = run.entry(idx);
    Ok(entry.kind == EntryKind::Step && !entry.is_settled() && attempt == entry.failures + 1)
}

/// What of an op was not taken before, and how many messages it is.
fn unheard(op: &PublishOp, next: u32) -> Option<(Payload, u32)> {
    let known = next.saturating_sub(op.index);
    if known == 0 {
        return (op.count > 0).then(|| (op.data.clone(), op.count));
    }
    let all: Vec<&RawValue> = op.data.read().ok()?;
    let rest: Vec<&str> = all.into_iter().skip(known as usize).map(RawValue::get).collect();
    (!rest.is_empty()).then(|| (Payload::trusted(format!("[{}]", rest.join(","))), rest.len() as u32))
}

/// A channel takes messages, and gives up its oldest if it holds too many.
fn fill(draft: &mut Draft<'_>, run: RunId, channel: &Channel, no: i64, count: u32, bytes: usize) -> Part<()> {
    let (now, own) = (draft.now(), channel.run().is_some());
    let mut head = head_of(draft, channel);
    head.add(no, count.into(), bytes as u64, now, !own);
    if let Some(gone) = head.shrink() {
        draft.others.push(Change::MessagesDropped(channel.clone(), gone));
    }
    let oldest = head.segments.first().map_or(now, |it| it.until);
    let wake_at = (!own).then(|| oldest.after(Span(MESSAGES_KEPT_MS)));
    draft.put_state(StateRow { key: channel.state_key(), wake_at, value: print(&head) });
    if own && !draft.run(run)?.streams.contains_key(Stream::OWN_CHANNEL) {
        let run_no = draft.run(run)?.head.run_no;
        let source = Stream::OWN_CHANNEL.into();
        put(draft, run, Stream { run_no, source, attempt: None, token: None, next: 0, channels: Vec::new() })?;
    }
    Ok(())
}

/// A channel may hold what is old enough to be forgotten: of a run that has ended, or on a channel with a name.
pub(super) fn age(draft: &mut Draft<'_>, channel: &Channel) -> Part<()> {
    draft.require([Key::Channel(channel.clone())])?;
    let now = draft.now();
    let key = channel.state_key();
    if draft.state(&key).and_then(|row| row.wake_at).is_none_or(|due| due > now) {
        return Ok(());
    }
    let mut head = head_of(draft, channel);
    let gone = match channel.run() {
        // A piece at a time, so that nothing stands still for long.
        Some(_) => (!head.segments.is_empty()).then(|| head.drop_first()),
        None => head.expire(now),
    };
    if head.segments.is_empty() {
        draft.others.push(Change::MessagesDropped(channel.clone(), i64::MAX));
        draft.delete_state(key);
        return Ok(());
    }
    gone.into_iter().for_each(|gone| draft.others.push(Change::MessagesDropped(channel.clone(), gone)));
    let wake_at = match channel.run() {
        Some(_) => Some(now),
        None => head.segments.first().map(|it| it.until.after(Span(MESSAGES_KEPT_MS))),
    };
    draft.put_state(StateRow { key, wake_at, value: print(&head) });
    Ok(())
}

/// A run ends: what it has published is kept for a while.
pub(super) fn end(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    if !draft.run(id)?.streams.contains_key(Stream::OWN_CHANNEL) {
        return Ok(());
    }
    let channel = Channel::of(id);
    draft.require([Key::Channel(channel.clone())])?;
    let wake_at = Some(draft.now().after(Span(MESSAGES_KEPT_MS)));
    let value = print(&head_of(draft, &channel));
    draft.put_state(StateRow { key: channel.state_key(), wake_at, value });
    Ok(())
}

/// A step has succeeded: what this attempt said in this invocation stays. What another one said does not.
pub(super) fn keep(draft: &mut Draft<'_>, id: RunId, step: &EntryId, attempt: u32, token: Token) -> Part<()> {
    let Some(stream) = draft.run(id)?.streams.get(step) else { return Ok(()) };
    if (stream.attempt, stream.token) != (Some(attempt), Some(token)) {
        return cut(draft, id, step);
    }
    delete(draft, id, step)
}

/// Nothing came of an attempt: what it said is cut.
pub(super) fn cut(draft: &mut Draft<'_>, id: RunId, source: &Text) -> Part<()> {
    let at = draft.now();
    let Some(stream) = draft.run(id)?.streams.get(source).filter(|stream| stream.attempt.is_some()).cloned() else {
        return Ok(());
    };
    for (channel, first) in stream.channels {
        let no = next_no(draft, 1);
        draft.others.push(Change::MessagesCut(Messages {
            no,
            first,
            channel,
            run_no: stream.run_no,
            run: id,
            source: source.clone(),
            attempt: stream.attempt,
            topic: "".into(),
            data: None,
            cut_by: None,
            at,
        }));
    }
    delete(draft, id, source)
}

/// An invocation is over: none of its bodies speaks any more.
pub(super) fn hush(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    let speaking = |stream: &&Stream| stream.attempt.is_some();
    let sources: Vec<Text> =
        draft.run(id)?.streams.values().filter(speaking).map(|stream| stream.source.clone()).collect();
    sources.iter().try_for_each(|source| cut(draft, id, source))
}

/// What a decision means for what its runs publish: one that is not invoked any more is silent, and one that has ended
/// will say no more.
pub(super) fn sweep(draft: &mut Draft<'_>) -> Part<()> {
    for id in draft.order.clone() {
        let run = draft.run(id)?;
        if run.streams.is_empty() || run.head.status == RunStatus::Ready {
            continue;
        }
        let ended = run.head.status.is_terminal();
        hush(draft, id)?;
        if ended {
            let sources: Vec<Text> = draft.run(id)?.streams.keys().cloned().collect();
            sources.iter().try_for_each(|source| delete(draft, id, source))?;
        }
    }
    Ok(())
}

/// An entry settles by other means than its handler's report, or with an error: nothing came of what was said.
pub(super) fn settled(draft: &mut Draft<'_>, id: RunId, idx: u32) -> Part<()> {
    let run = draft.run(id)?;
    if run.streams.is_empty() || run.entry(idx).kind != EntryKind::Step {
        return Ok(());
    }
    let source = run.entry(idx).id.clone();
    cut(draft, id, &source)
}

/// The number of the last of the next messages.
fn next_no(draft: &mut Draft<'_>, count: u32) -> i64 {
    draft.last_message_no += i64::from(count);
    draft.last_message_no
}

fn put(draft: &mut Draft<'_>, id: RunId, stream: Stream) -> Part<()> {
    draft.run(id)?.streams.insert(stream.source.clone(), stream.clone());
    draft.others.push(Change::StreamPut(stream));
    Ok(())
}

fn delete(draft: &mut Draft<'_>, id: RunId, source: &Text) -> Part<()> {
    let run = draft.run(id)?;
    if let Some(stream) = run.streams.remove(source) {
        draft.others.push(Change::StreamDeleted(stream.run_no, stream.source));
    }
    Ok(())
}

fn head_of(draft: &Draft<'_>, channel: &Channel) -> ChannelHead {
    draft.state(&channel.state_key()).and_then(|row| row.value.read().ok()).unwrap_or_default()
}

fn print(head: &ChannelHead) -> Payload {
    Payload::trusted(serde_json::to_string(head).expect("a channel's head prints"))
}
