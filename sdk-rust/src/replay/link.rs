//! The requests that are under way while a handler runs: one checkpoint with ops, and beside it the beat.
//!
//! A state machine that is polled; it says what has come, and the driver tells the core. A checkpoint that was not heard is
//! sent again with the same number and the very same ops, until the server has been away for too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep};

use crate::port::{Outbound, PAUSE, PAUSE_MAX, REQUEST, Request, Response, is_passing};
use crate::time;
use crate::wire::Op;
use crate::wire::checkpoint::{self, Reply};

/// For how long a server that cannot be reached is tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// When an invocation begins to keep a beat.
const BEAT_AFTER: Duration = Duration::from_secs(1);

/// How long a beat waits for something to tell.
const BEAT: Duration = Duration::from_secs(10);

/// Between two reports that only say how things stand.
const NOTES: Duration = Duration::from_secs(1);

/// Between two reports that only bring what was published: what comes meanwhile goes together.
const SAID: Duration = Duration::from_millis(50);

/// The pause after a beat that brought nothing: a server that does not wait must not be asked without end.
const BEAT_PAUSE: Duration = Duration::from_secs(1);

/// What the server has said.
pub(crate) enum Heard {
    /// The reply to a checkpoint, and the ops that are durable now.
    Reply(Reply, Vec<Op>),
    /// The reply to a beat.
    Beat(Reply),
    /// This invocation is not the run's last any more.
    Stale,
    /// The invocation has to go on without checkpoints; what was in flight is not confirmed.
    Lost(Vec<Op>),
}

/// The link of one invocation.
pub(crate) struct Link {
    outbound: Arc<Outbound>,
    addresses: Addresses,
    token: Arc<str>,
    /// The last number that was replied to.
    n: u64,
    flight: Option<Flight>,
    beat: Beat,
    /// Whether the beat knows whom to wake.
    beat_is_polled: bool,
    /// From when on status and heartbeats are worth a report of their own.
    notes_from: Instant,
    /// Until then, while there are any.
    notes: Option<Pin<Box<Sleep>>>,
    /// From when on what was published is worth a report of its own, and until then, while there is any.
    said_from: Instant,
    said: Option<Pin<Box<Sleep>>>,
    /// How long an invocation may wait with no body running.
    linger_max: Duration,
    linger: Option<Pin<Box<Sleep>>>,
    /// Until the next step of this SDK's own is due, which no reply announces.
    due: Option<Pin<Box<Sleep>>>,
}

/// Where an invocation reports.
pub(crate) struct Addresses {
    /// By itself.
    pub(crate) alone: Arc<str>,
    /// In one request with what others report at the moment, where the server takes that.
    pub(crate) together: Option<Arc<str>>,
}

/// How a wait goes.
pub(crate) enum Linger {
    Begun,
    Goes,
    Over,
}

type Answered = BoxFuture<'static, Result<Response, String>>;

/// A checkpoint under way.
struct Flight {
    ops: Vec<Op>,
    body: Bytes,
    begun: Instant,
    pause: Duration,
    way: Way,
}

enum Way {
    Sent(Answered),
    Pausing(Pin<Box<Sleep>>),
}

enum Beat {
    Pausing(Pin<Box<Sleep>>),
    Open(Answered),
}

impl Link {
    pub(crate) fn new(outbound: Arc<Outbound>, addresses: Addresses, token: &str, linger_max: Duration) -> Link {
        let beat = Beat::Pausing(Box::pin(tokio::time::sleep(BEAT_AFTER)));
        let notes_from = soon(NOTES);
        Link {
            outbound,
            addresses,
            token: Arc::from(token),
            n: 0,
            flight: None,
            beat,
            beat_is_polled: false,
            notes_from,
            notes: None,
            said_from: time::instant(),
            said: None,
            linger_max,
            linger: None,
            due: None,
        }
    }

    /// Whether a checkpoint is under way.
    pub(crate) fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    /// The number of the next checkpoint.
    pub(crate) fn next_number(&self) -> u64 {
        self.n + 1
    }

    /// Whether any checkpoint has been taken.
    pub(crate) fn has_reported(&self) -> bool {
        self.n > 0
    }

    /// Sends a checkpoint. There is none under way.
    pub(crate) fn send(&mut self, ops: Vec<Op>, body: Bytes) {
        self.linger = None;
        (self.said, self.said_from) = (None, soon(SAID));
        let way = Way::Sent(self.report(body.clone()));
        self.flight = Some(Flight { ops, body, begun: time::instant(), pause: PAUSE, way });
    }

    /// Ready when status and heartbeats may make a report of their own.
    pub(crate) fn poll_notes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let from = self.notes_from;
        self.notes.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(from))).as_mut().poll(cx)
    }

    /// Ready when what was published may make a report of its own.
    pub(crate) fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let from = self.said_from;
        self.said.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(from))).as_mut().poll(cx)
    }

    /// Status and heartbeats are going out.
    pub(crate) fn noted(&mut self) {
        (self.notes, self.notes_from) = (None, soon(NOTES));
    }

    /// What is under way and not confirmed.
    pub(crate) fn take_back(&mut self) -> Vec<Op> {
        self.flight.take().map(|flight| flight.ops).unwrap_or_default()
    }

    /// What has been heard since the last poll. `None`: nothing, and the task is woken when something comes. `polled` says
    /// that the host has polled since, so that the beat may have been what woke it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, seen: u64, beats: bool, polled: bool) -> Option<Heard> {
        self.beat_is_polled &= !polled;
        if let Some(heard) = self.poll_flight(cx) {
            return Some(heard);
        }
        if !beats || self.beat_is_polled {
            return None;
        }
        let heard = self.poll_beat(cx, seen);
        // After what it said comes another.
        self.beat_is_polled = heard.is_none();
        heard
    }

    fn poll_flight(&mut self, cx: &mut Context<'_>) -> Option<Heard> {
        loop {
            let flight = self.flight.as_mut()?;
            let answered = match &mut flight.way {
                Way::Sent(answered) => match answered.as_mut().poll(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(answered) => answered,
                },
                Way::Pausing(pause) => {
                    if pause.as_mut().poll(cx).is_pending() {
                        return None;
                    }
                    let body = flight.body.clone();
                    let answered = self.report(body);
                    if let Some(flight) = &mut self.flight {
                        flight.way = Way::Sent(answered);
                    }
                    continue;
                }
            };
            if let Some(heard) = self.answered(answered) {
                return Some(heard);
            }
        }
    }

    fn answered(&mut self, answered: Result<Response, String>) -> Option<Heard> {
        let flight = self.flight.as_mut()?;
        let why = match answered {
            Ok(Response { status: 200, body }) => {
                return Some(match Reply::parse(&body) {
                    Ok(reply) => {
                        self.n += 1;
                        Heard::Reply(reply, self.take_back())
                    }
                    Err(why) => self.lose(&why),
                });
            }
            Ok(Response { status: 409, .. }) => return Some(Heard::Stale),
            Ok(Response { status: 404, .. }) => {
                self.outbound.close();
                return Some(self.lose("the server takes no checkpoints"));
            }
            Ok(Response { status, body }) if !is_passing(status) => {
                let said = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
                return Some(self.lose(&format!("the server refused a checkpoint with status {status}: {said}")));
            }
            Ok(Response { status, .. }) => format!("the server answered with status {status}"),
            Err(why) => why,
        };
        if flight.begun.elapsed() < PATIENCE {
            flight.way = Way::Pausing(Box::pin(tokio::time::sleep(flight.pause)));
            flight.pause = (flight.pause * 2).min(PAUSE_MAX);
            return None;
        }
        self.outbound.close();
        Some(self.lose(&why))
    }

    fn lose(&mut self, why: &str) -> Heard {
        tracing::warn!(url = %self.addresses.alone, reason = why, "an invocation goes on without checkpoints");
        Heard::Lost(self.take_back())
    }

    fn poll_beat(&mut self, cx: &mut Context<'_>, seen: u64) -> Option<Heard> {
        loop {
            match &mut self.beat {
                Beat::Pausing(pause) => {
                    if pause.as_mut().poll(cx).is_pending() {
                        return None;
                    }
                    self.beat = self.open_beat(seen, BEAT);
                }
                Beat::Open(answered) => {
                    let answered = match answered.as_mut().poll(cx) {
                        Poll::Pending => return None,
                        Poll::Ready(answered) => answered,
                    };
                    self.beat = Beat::Pausing(Box::pin(tokio::time::sleep(BEAT_PAUSE)));
                    match answered {
                        Ok(Response { status: 200, body }) => match Reply::parse(&body) {
                            Ok(reply) => return Some(Heard::Beat(reply)),
                            Err(why) => return Some(self.lose(&why)),
                        },
                        Ok(Response { status: 409, .. }) => return Some(Heard::Stale),
                        // What a beat is refused for a checkpoint will be too, which has more to say about it.
                        Ok(_) | Err(_) => {}
                    }
                }
            }
        }
    }

    fn open_beat(&self, seen: u64, wait: Duration) -> Beat {
        // A beat waits, and whoever came with it would have to wait, too.
        Beat::Open(self.post(checkpoint::write_beat(self.n, seen, wait), wait + REQUEST, None))
    }

    /// A beat has brought news: there may be more of them soon.
    pub(crate) fn go_on_beating(&mut self, seen: u64) {
        if matches!(self.beat, Beat::Pausing(_)) {
            (self.beat, self.beat_is_polled) = (self.open_beat(seen, BEAT), false);
        }
    }

    /// Waits on for what may come soon, with a beat open. `until` is when the next step is due.
    pub(crate) fn linger(&mut self, cx: &mut Context<'_>, seen: u64, until: Option<Instant>) -> Linger {
        if self.linger_max.is_zero() {
            return Linger::Over;
        }
        let Some(linger) = &mut self.linger else {
            self.linger = Some(Box::pin(tokio::time::sleep(self.linger_max)));
            if matches!(self.beat, Beat::Pausing(_)) {
                // A little shorter, so that its end is a reply and no broken connection.
                (self.beat, self.beat_is_polled) = (self.open_beat(seen, self.linger_max * 9 / 10), false);
            }
            return Linger::Begun;
        };
        if linger.as_mut().poll(cx).is_ready() {
            self.linger = None;
            return Linger::Over;
        }
        if let Some(until) = until {
            let due = self.due.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            due.as_mut().reset(until);
            // Polled for the waking alone: whoever is woken looks what is due.
            let _ = due.as_mut().poll(cx);
        }
        Linger::Goes
    }

    /// When a wait that began now would end.
    pub(crate) fn linger_end(&self) -> Instant {
        match &self.linger {
            Some(linger) => linger.deadline(),
            None => soon(self.linger_max),
        }
    }

    /// Something has come: the next wait is another one.
    pub(crate) fn stop_lingering(&mut self) {
        self.linger = None;
    }

    fn report(&self, body: Bytes) -> Answered {
        self.post(body, REQUEST, self.addresses.together.clone())
    }

    fn post(&self, body: Bytes, timeout: Duration, together: Option<Arc<str>>) -> Answered {
        let (url, token) = (Arc::clone(&self.addresses.alone), Arc::clone(&self.token));
        self.outbound.port.send(Request { url, token, body: Some(body), timeout, together })
    }
}

/// So long from now.
fn soon(duration: Duration) -> Instant {
    let now = time::instant();
    now.checked_add(duration).unwrap_or(now)
}
