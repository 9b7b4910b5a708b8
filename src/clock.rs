//! The one door to time and chance. Everything else gets them as arguments, so that tests and a developer's skipped
//! clock own them.

#![expect(clippy::disallowed_methods, reason = "the one door to the system's time")]

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::limits::SKIP_MS_MAX;
use crate::model::{Span, Timestamp};

/// Tells the time and makes chance.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn wall(&self) -> Timestamp;
    /// Milliseconds on a clock that only runs forward.
    fn monotonic_ms(&self) -> u64;
    /// 128 bits of chance.
    fn entropy(&self) -> u128;

    /// Tells when the wall clock is moved; nothing if it never is.
    fn skips(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    /// A partition is taken whose time was this when it was left.
    fn resume(&self, _left_at: Timestamp) {}
}

/// How many draws one system call brings: every decision and every request wants one.
const ENTROPY_AT_ONCE: usize = 32;

thread_local! {
    /// The operating system's entropy that this thread has not given out yet.
    static STORE: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// Measures how long this process takes for something. Nothing that a run sees may follow from it.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// How long that is ago.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The machine's clocks and the operating system's entropy.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Starts the monotonic clock at 0.
    pub fn new() -> SystemClock {
        SystemClock { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn entropy(&self) -> u128 {
        STORE.with_borrow_mut(|store| {
            if store.is_empty() {
                let mut bytes = [[0; 16]; ENTROPY_AT_ONCE];
                getrandom::fill(bytes.as_flattened_mut()).expect("the operating system has entropy once it has booted");
                store.extend(bytes);
            }
            // Each is given out once.
            u128::from_be_bytes(store.pop().expect("it has just been filled if it was empty"))
        })
    }
}

/// The machine's clocks with a wall clock that a developer may move forward. What must be real, such as the time of a
/// signature, asks another clock.
#[derive(Debug)]
pub struct DevClock {
    system: SystemClock,
    skipped_ms: watch::Sender<u64>,
}

impl DevClock {
    /// Nothing is skipped yet.
    pub fn new() -> DevClock {
        DevClock { system: SystemClock::new(), skipped_ms: watch::Sender::new(0) }
    }

    /// Moves the wall clock forward to `time`, unless it is there already. False when that is farther than it goes.
    pub fn skip_to(&self, time: Timestamp) -> bool {
        let mut fits = true;
        self.skipped_ms.send_if_modified(|skipped| {
            let ahead = time.since(self.system.wall()).0;
            fits = ahead <= SKIP_MS_MAX;
            let moves = fits && ahead > *skipped;
            if moves {
                *skipped = ahead;
            }
            moves
        });
        fits
    }

    /// How far the wall clock is ahead of the machine's.
    pub fn skipped(&self) -> Span {
        Span(*self.skipped_ms.borrow())
    }
}

impl Default for DevClock {
    fn default() -> DevClock {
        DevClock::new()
    }
}

impl Clock for DevClock {
    fn wall(&self) -> Timestamp {
        self.system.wall().after(self.skipped())
    }

    fn monotonic_ms(&self) -> u64 {
        self.system.monotonic_ms()
    }

    fn entropy(&self) -> u128 {
        self.system.entropy()
    }

    fn skips(&self) -> Option<watch::Receiver<u64>> {
        Some(self.skipped_ms.subscribe())
    }

    /// What was skipped before a restart stays skipped, as far as something was written since.
    fn resume(&self, left_at: Timestamp) {
        self.skip_to(left_at);
    }
}

/// A clock that only moves when it is told to, and chance from a counter: for tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(i64, u128)>,
}

impl ManualClock {
    /// Stands at `now`; its chance follows from `seed`.
    pub fn new(now: Timestamp, seed: u64) -> ManualClock {
        ManualClock { state: Mutex::new((now.0, u128::from(seed))) }
    }

    /// Moves forward.
    pub fn advance_ms(&self, ms: u64) {
        self.lock().0 += i64::try_from(ms).unwrap_or(i64::MAX);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (i64, u128)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        Timestamp(self.lock().0)
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.lock().0).unwrap_or(0)
    }

    fn entropy(&self) -> u128 {
        let mut state = self.lock();
        state.1 = state.1.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let mut z = state.1;
        z = (z ^ (z >> 64)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb);
        z ^ (z >> 61)
    }
}

/// The time of a partition: `max(wall, last + elapsed)`, so that it never runs backwards and one wrong hour of the
/// wall clock does not freeze it.
#[derive(Debug)]
pub struct PartitionTime {
    last: Timestamp,
    monotonic_ms: u64,
}

impl PartitionTime {
    /// Begins at the time that is stored with the partition.
    pub fn starting_at(last: Timestamp, clock: &dyn Clock) -> PartitionTime {
        clock.resume(last);
        PartitionTime { last, monotonic_ms: clock.monotonic_ms() }
    }

    /// The partition's time now.
    pub fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let monotonic_ms = clock.monotonic_ms();
        let elapsed = monotonic_ms.saturating_sub(self.monotonic_ms);
        let carried = Timestamp(self.last.0.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX)));
        self.monotonic_ms = monotonic_ms;
        self.last = clock.wall().max(carried);
        self.last
    }
}
