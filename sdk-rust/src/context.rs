//! The context: what a handler does durably, and the facts of its run.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::TryFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::child::{Invoke, Sending, Start};
use crate::error::Error;
use crate::event::{Event, Outgoing, Received};
use crate::fan_out::{All, AllSettled, Durable, Map};
use crate::fetch::Fetch;
use crate::function::Callable;
use crate::labels::{self, AttributeValue};
use crate::next::ContinueAsNew;
use crate::race::{Any, Race};
use crate::raw::Raw;
use crate::replay::call::{Call, Replay};
use crate::replay::ids;
use crate::schedule::Tick;
use crate::shield::Shield;
use crate::step::{Run, Step};
use crate::update::UpdateWait;
use crate::wait::{Awakeable, EventWait, Signal, Sleep};
use crate::wire::{NOTE_BYTES_MAX, OpKind};

/// A run as its handler sees it.
///
/// Every durable call has an id that names it in the journal: unique ids survive reordering of code, repeats are numbered
/// in the order of the calls. What the calls return are futures; `join!`, `try_join!` and `select!` of this crate run them
/// side by side. A spawned task cannot make durable calls: they fail there with `OutsideRunError`.
///
/// Cloning a context is cheap and makes another handle on the same run and scope.
#[derive(Clone)]
pub struct Ctx {
    replay: Arc<Replay>,
    scope: Arc<str>,
}

impl Ctx {
    pub(crate) fn new(replay: Arc<Replay>) -> Ctx {
        Ctx { replay, scope: Arc::from("") }
    }
}

/// Durable calls.
impl Ctx {
    /// Runs `body` once and remembers what it returned. It is tried again as the policy says, unless its error is
    /// [`Error::terminal`]; the handler gets an outcome only when it is final. The body may borrow from the handler.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error, Retry};
    /// # async fn pay(cents: u64, key: String) -> Result<String, std::io::Error> { Ok(key) }
    /// async fn order(ctx: Ctx, cents: u64) -> Result<String, Error> {
    ///     ctx.run("charge", |step| pay(cents, step.idempotency_key()))
    ///         .retry(Retry::attempts(8))
    ///         .timeout(2.minutes())
    ///         .await
    /// }
    /// ```
    pub fn run<F, Fut, T, E>(&self, id: &str, body: F) -> Run<F, T>
    where
        F: FnOnce(Step) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        T: Serialize + DeserializeOwned,
        E: Into<Error>,
    {
        Run::new(self.entry(OpKind::Step, id), body)
    }

    /// Sleeps so long, costing nothing meanwhile.
    pub fn sleep(&self, id: &str, duration: Duration) -> Sleep {
        Sleep::lasting(self.entry(OpKind::Sleep, id), duration)
    }

    /// Sleeps until then.
    pub fn sleep_until(&self, id: &str, time: impl Into<SystemTime>) -> Sleep {
        Sleep::until(self.entry(OpKind::Sleep, id), time.into())
    }

    /// Waits for the signal of this name. Signals that came early are kept and taken in their order.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// async fn approve(ctx: Ctx, _: ()) -> Result<String, Error> {
    ///     match ctx.signal::<String>("approval").timeout(3.days()).await? {
    ///         Some(by) => Ok(by),
    ///         None => Err(Error::terminal("Unapproved", "nobody approved within three days")),
    ///     }
    /// }
    /// ```
    pub fn signal<T: DeserializeOwned>(&self, name: &str) -> Signal<T> {
        Signal::new(self.entry(OpKind::WaitSignal, name), name)
    }

    /// As [`Ctx::signal`], for an entry that is not named like its signal.
    pub fn signal_as<T: DeserializeOwned>(&self, id: &str, name: &str) -> Signal<T> {
        Signal::new(self.entry(OpKind::WaitSignal, id), name)
    }

    /// Waits for an update of this name: a signal whose sender waits for the handler's reply. Data that are no `T` are
    /// rejected at once, and the wait goes on.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// async fn order(ctx: Ctx, mut street: String) -> Result<String, Error> {
    ///     while let Some(change) = ctx.update::<String>("change-address").timeout(3.days()).await? {
    ///         if change.data.is_empty() {
    ///             change.reject(Error::terminal("NoAddress", "a street, please"))?;
    ///             continue;
    ///         }
    ///         street = change.data.clone();
    ///         change.reply(format!("it goes to {street}"))?;
    ///     }
    ///     Ok(street)
    /// }
    /// ```
    pub fn update<T: DeserializeOwned>(&self, name: &str) -> UpdateWait<T> {
        self.update_as(name, name)
    }

    /// As [`Ctx::update`], for an entry that is not named like its update.
    pub fn update_as<T: DeserializeOwned>(&self, id: &str, name: &str) -> UpdateWait<T> {
        UpdateWait::new(self.entry(OpKind::WaitSignal, id), &self.scope, name)
    }

    /// Waits for an event of this type, also one that was accepted since the run was created.
    pub fn event<E: Event>(&self, id: &str) -> EventWait<Received<E>> {
        EventWait::new(self.entry(OpKind::WaitEvent, id), E::NAME)
    }

    /// As [`Ctx::event`], for an event whose name is known only at run time.
    pub fn event_named<T: DeserializeOwned>(&self, id: &str, name: &str) -> EventWait<Received<T>> {
        EventWait::new(self.entry(OpKind::WaitEvent, id), name)
    }

    /// A wait with a token: whoever holds it can settle it, without a key, by one POST to the server.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// # async fn mail(token: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn sign_up(ctx: Ctx, _: ()) -> Result<bool, Error> {
    ///     let mut answer = ctx.awakeable::<bool>("confirmed").timeout(7.days());
    ///     let token = answer.token()?;
    ///     ctx.run("mail", |_| mail(&token)).await?;
    ///     Ok(answer.await?.unwrap_or(false))
    /// }
    /// ```
    pub fn awakeable<T: DeserializeOwned>(&self, id: &str) -> Awakeable<T> {
        Awakeable::new(self.entry(OpKind::WaitSignal, id))
    }

    /// Runs another function as a child and waits for its result. The entry is named after the function.
    ///
    /// A child that fails is an error named `ChildFailed` (or `ChildCancelled`) whose data has `runId` and `error`.
    pub fn call<C: Callable>(&self, function: C, input: C::Input) -> Invoke<C::Output> {
        self.call_as(name_of(function.target()), &function, input)
    }

    /// As [`Ctx::call`], for an entry that is not named like its function.
    pub fn call_as<C: Callable>(&self, id: &str, function: &C, input: C::Input) -> Invoke<C::Output> {
        Invoke::new(self.entry(OpKind::Invoke, id), function, &input)
    }

    /// Has the server make an HTTP call. The handler does not run meanwhile, however long it takes, and what it comes to is kept
    /// as a step's result is. Any status is an answer; one that says *later* ([`Fetch::retry_on`]) is asked for again first.
    ///
    /// The call is made at least once: every attempt bears the same `idempotency-key`, the run's id and the entry's. Redirects
    /// are not followed. Errors are named `FetchFailed` where there was no answer, `TooLarge`, or `Timeout`.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// async fn ask(ctx: Ctx, prompt: String) -> Result<String, Error> {
    ///     let answer = ctx.fetch("llm", "https://models.example/v1/chat").json(&prompt).timeout(10.minutes()).await?;
    ///     if !answer.is_success() {
    ///         return Err(Error::terminal("ModelError", answer.text()));
    ///     }
    ///     answer.json()
    /// }
    /// ```
    pub fn fetch(&self, id: &str, url: impl Into<String>) -> Fetch {
        Fetch::new(self.entry(OpKind::Fetch, id), url.into())
    }

    /// Starts another function as a child of its own life and gives its run's id, without waiting for it.
    pub fn start<C: Callable>(&self, function: C, input: C::Input) -> Start {
        self.start_as(name_of(function.target()), &function, input)
    }

    /// As [`Ctx::start`], for an entry that is not named like its function.
    pub fn start_as<C: Callable>(&self, id: &str, function: &C, input: C::Input) -> Start {
        Start::new(self.entry(OpKind::Invoke, id), function, &input)
    }

    /// Sends an event and gives its id.
    pub fn send(&self, id: &str, event: impl Into<Outgoing>) -> Sending<String> {
        Sending::one(self.entry(OpKind::Send, id), event.into())
    }

    /// Sends events in one entry and gives their ids.
    pub fn send_all(&self, id: &str, events: impl IntoIterator<Item = impl Into<Outgoing>>) -> Sending<Vec<String>> {
        Sending::all(self.entry(OpKind::Send, id), events.into_iter().map(Into::into).collect())
    }
}

/// The run itself.
impl Ctx {
    /// Shows how things stand to whoever asks for the run's status, at once and without waking the handler. Any JSON of at
    /// most 64 KiB; the newest counts.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn handler(ctx: Ctx) -> Result<(), Error> {
    /// ctx.set_status("awaiting approval")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_status(&self, value: impl Serialize) -> Result<(), Error> {
        let advice = "show what people need to see, and keep the rest elsewhere";
        let value = Raw::bounded(&value, "the status of the run", NOTE_BYTES_MAX, advice)?;
        self.replay.core().set_status(value);
        Ok(())
    }

    /// The tags that the run is found by: those that it was started with, and what the handler has made of them.
    pub fn tags(&self) -> Vec<String> {
        self.replay.core().labels().tags.iter().cloned().collect()
    }

    /// The attributes that the run is found by: those that it was started with, and what the handler has made of them.
    pub fn attributes(&self) -> BTreeMap<String, AttributeValue> {
        self.replay.core().labels().attributes.clone()
    }

    /// Adds tags, by which people find the run: at most 32 of at most 128 bytes. They are seen with the handler's next report.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn handler(ctx: Ctx) -> Result<(), Error> {
    /// ctx.add_tags(["needs-review", "eu"])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_tags<T: Into<String>>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        labels::change(&self.replay, "add_tags", |labels| labels.tags.extend(tags.into_iter().map(Into::into)))
    }

    /// Takes tags away.
    pub fn remove_tags<T: AsRef<str>>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        labels::change(&self.replay, "remove_tags", |labels| {
            for tag in tags {
                labels.tags.remove(tag.as_ref());
            }
        })
    }

    /// Has these tags and no others.
    pub fn set_tags<T: Into<String>>(&self, tags: impl IntoIterator<Item = T>) -> Result<(), Error> {
        labels::change(&self.replay, "set_tags", |labels| labels.tags = tags.into_iter().map(Into::into).collect())
    }

    /// Sets attributes, by which people find the run: texts, numbers, booleans and times by name, at most 32. The others stay.
    /// They are seen with the handler's next report.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn handler(ctx: Ctx, total: u64) -> Result<(), Error> {
    /// ctx.set_attributes([("total", total.into()), ("plan", "pro".into())])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_attributes<N: Into<String>>(
        &self,
        attributes: impl IntoIterator<Item = (N, AttributeValue)>,
    ) -> Result<(), Error> {
        labels::change(&self.replay, "set_attributes", |labels| {
            labels.attributes.extend(attributes.into_iter().map(|(name, value)| (name.into(), value)));
        })
    }

    /// Takes attributes away.
    pub fn remove_attributes<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<(), Error> {
        labels::change(&self.replay, "remove_attributes", |labels| {
            for name in names {
                labels.attributes.remove(name.as_ref());
            }
        })
    }

    /// Whether the code goes the new way, for changing a function while it has runs: true for runs that come here after the
    /// change, and from then on; false for those that have been here with the old code. The journal remembers the answer.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn handler(ctx: Ctx) -> Result<(), Error> {
    /// if ctx.patched("check-fraud")? {
    ///     ctx.run("fraud", |_| async { backstitch::Ok(()) }).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn patched(&self, id: &str) -> Result<bool, Error> {
        self.replay.check_place(id)?;
        let entry = ids::patch(id)?;
        Ok(self.replay.core().patched(entry, id))
    }

    /// Keeps the id of a patch taken when the old way is gone from the code: runs that remember it go on.
    pub fn deprecate_patch(&self, id: &str) -> Result<(), Error> {
        ids::patch(id).map(drop)
    }

    /// Ends this run and goes on in a new one with an empty journal: for functions that never end. Name, object, waiting
    /// updates and early signals go over to it, and so does whoever waits for the result. What it gives never comes, so
    /// nothing after it is reached.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// async fn meter(ctx: Ctx, total: u64) -> Result<u64, Error> {
    ///     match ctx.signal::<u64>("reading").timeout(1.days()).await? {
    ///         Some(reading) => ctx.continue_as_new(total + reading).await,
    ///         None => Ok(total),
    ///     }
    /// }
    /// ```
    pub fn continue_as_new<T>(&self, input: impl Serialize) -> ContinueAsNew<T> {
        ContinueAsNew::new(&self.replay, Raw::encode(&input, "the input to continue with"))
    }
}

/// Shape.
impl Ctx {
    /// A context whose entries are named and counted apart: what one branch does renames nothing in another.
    #[must_use]
    pub fn scope(&self, name: &str) -> Ctx {
        let scope = if self.replay.is_handler_here() {
            self.replay.numbers().scope(&self.scope, name)
        } else {
            // Its calls will be refused; nothing is counted.
            ids::join(&self.scope, name)
        };
        Ctx { replay: Arc::clone(&self.replay), scope: Arc::from(scope) }
    }

    /// A part of the handler that a cancellation does not tear in the middle: the run is told of it when the part has ended.
    /// Until then everything goes on, also what runs beside it. It is a scope, too: use the context that it is given. Keep
    /// it short, since a run that was cancelled has a minute. What is done after a cancellation needs no shield.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// # async fn book(account: &str, cents: i64, key: String) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn transfer(ctx: Ctx, (from, to, cents): (String, String, i64)) -> Result<(), Error> {
    ///     ctx.shield("move", |ctx| async move {
    ///         ctx.run("take", |step| book(&from, -cents, step.idempotency_key())).await?;
    ///         ctx.run("give", |step| book(&to, cents, step.idempotency_key())).await
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn shield<F, Fut>(&self, name: &str, part: F) -> Shield<Fut>
    where
        F: FnOnce(Ctx) -> Fut,
        Fut: Future,
    {
        Shield::new(Arc::clone(&self.replay), part(self.scope(name)))
    }

    /// Runs `body` for every item, each in a scope named by its key, and gives the results in the items' order. The
    /// first error ends it, unless it is one that [`Map::tolerate`] allows.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error};
    /// async fn resize(ctx: Ctx, images: Vec<String>) -> Result<Vec<usize>, Error> {
    ///     ctx.map("images", &images, |image| image.to_string(), |ctx, image| async move {
    ///         ctx.run("resize", |_| async { backstitch::Ok(image.len()) }).await
    ///     })
    ///     .concurrency(10)
    ///     .await
    /// }
    /// ```
    pub fn map<I, K, F, Fut, T, E>(&self, id: &str, items: I, key: impl Fn(&I::Item) -> K, mut body: F) -> Map<Fut>
    where
        I: IntoIterator,
        K: ToString,
        F: FnMut(Ctx, I::Item) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Into<Error>,
    {
        let scope = self.scope(id);
        let begin = |item| {
            let key = key(&item).to_string();
            let future = body(scope.scope(&key), item);
            (key, future)
        };
        Map::new(items.into_iter().map(begin).collect())
    }
}

/// Many at once.
impl Ctx {
    /// Waits for all of these calls, in their order; the first error ends it. The server is told, so that the run is woken
    /// when the last of them has settled, or one has failed, and not by each.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error, FunctionRef};
    /// const RESIZE: FunctionRef<String, u64> = FunctionRef::new("resize");
    ///
    /// async fn gallery(ctx: Ctx, images: Vec<String>) -> Result<u64, Error> {
    ///     let sizes = ctx.all(images.into_iter().map(|image| ctx.call(RESIZE, image))).await?;
    ///     Ok(sizes.into_iter().sum())
    /// }
    /// ```
    pub fn all<I>(&self, calls: I) -> All<I::Item>
    where
        I: IntoIterator,
        I::Item: Durable + TryFuture,
    {
        All::new(Arc::clone(&self.replay), calls.into_iter().collect())
    }

    /// Waits for all of these calls, and gives what each came to, in their order. The only error is the run's cancellation.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error, FunctionRef};
    /// const NOTIFY: FunctionRef<String, ()> = FunctionRef::new("notify");
    ///
    /// async fn tell(ctx: Ctx, people: Vec<String>) -> Result<usize, Error> {
    ///     let told = ctx.all_settled(people.into_iter().map(|person| ctx.call(NOTIFY, person))).await?;
    ///     Ok(told.iter().filter(|one| one.is_ok()).count())
    /// }
    /// ```
    pub fn all_settled<I>(&self, calls: I) -> AllSettled<I::Item>
    where
        I: IntoIterator,
        I::Item: Durable + TryFuture,
    {
        AllSettled::new(Arc::clone(&self.replay), calls.into_iter().collect())
    }

    /// Runs branches side by side; the first to end wins, by value or by error. Which one is first is in the journal, so each
    /// replay says the same. The others are dropped: a body that runs stops, what is open of them stays open at the server
    /// until the run ends. Branches of different types go into [`select!`](crate::select).
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// async fn first_answer(ctx: Ctx, people: Vec<String>) -> Result<String, Error> {
    ///     ctx.race(people.iter().map(|person| ctx.signal::<String>(person))).await
    /// }
    /// ```
    pub fn race<I, T, E>(&self, branches: I) -> Race<I::Item>
    where
        I: IntoIterator,
        I::Item: Future<Output = Result<T, E>>,
        E: Into<Error>,
    {
        Race::new(branches)
    }

    /// Runs branches side by side; the first value wins. Errors count only when there is nothing else: then the error is an
    /// `AnyFailed`, whose data are an [`AnyFailed`](crate::AnyFailed). The others are dropped, as by [`Ctx::race`].
    ///
    /// ```
    /// # use backstitch::{Ctx, Error, FunctionRef};
    /// const QUOTE: FunctionRef<String, u64> = FunctionRef::new("quote");
    ///
    /// async fn cheapest(ctx: Ctx, shops: Vec<String>) -> Result<u64, Error> {
    ///     ctx.any(shops.into_iter().map(|shop| ctx.call(QUOTE, shop))).await
    /// }
    /// ```
    pub fn any<I, T, E>(&self, branches: I) -> Any<I::Item>
    where
        I: IntoIterator,
        I::Item: Future<Output = Result<T, E>>,
        E: Into<Error>,
    {
        Any::new(branches)
    }
}

/// Facts of the run, equal on every replay.
impl Ctx {
    /// The run's id, `run_…`.
    pub fn id(&self) -> &str {
        &self.replay.run.id
    }

    /// The name that whoever started the run gave it.
    pub fn name(&self) -> Option<&str> {
        self.replay.run.name.as_deref()
    }

    /// The id of the function.
    pub fn function(&self) -> &str {
        &self.replay.run.function
    }

    /// The id of the app.
    pub fn app(&self) -> &str {
        &self.replay.run.app
    }

    /// Which time of a schedule the run is for; `None` if no schedule started it.
    pub fn tick(&self) -> Option<&Tick> {
        self.replay.trigger.tick.as_ref()
    }

    /// What started the run: `event`, `call`, `invoke`, `failure` or `schedule`.
    pub fn trigger(&self) -> &str {
        &self.replay.trigger.kind
    }

    /// The events that started the run; none if it was called.
    pub fn trigger_events<T: DeserializeOwned>(&self) -> Result<Vec<Received<T>>, Error> {
        let decode = |event: &crate::wire::EventRecord| {
            let data = event.data.decode("the event's data")?;
            Ok(Received { id: event.id.clone(), name: event.name.clone(), data, at: event.at })
        };
        self.replay.trigger.events.iter().map(decode).collect()
    }

    /// When the run was started.
    pub fn started_at(&self) -> SystemTime {
        self.replay.run.started_at
    }

    /// When the run fails if it has not ended by then ([`Timeouts::run`](crate::Timeouts::run)); `None` if it may take as
    /// long as it does.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.replay.run.deadline
    }

    /// The time of the last outcome that the handler was given, else of the run's start.
    pub fn now(&self) -> SystemTime {
        self.replay.core().now()
    }

    /// A number from 0 (included) to 1 (excluded) that is the same on every replay.
    pub fn random(&self) -> f64 {
        ids::random(self.draw())
    }

    /// A UUID that is the same on every replay.
    pub fn uuid(&self) -> String {
        ids::uuid(self.draw())
    }

    /// How often the handler has been called since the last progress, from 1. Not the same on every replay.
    pub fn attempt(&self) -> u32 {
        self.replay.run.attempt
    }

    /// What the app was given with [`App::state`](crate::App::state); a terminal error if it was given none of this type.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<&T, Error> {
        let value = self.replay.host.state.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref());
        value.ok_or_else(|| {
            let name = std::any::type_name::<T>();
            Error::terminal("MissingStateError", format!("the app has no `{name}`: give it one with App::state"))
        })
    }

    /// Whether an earlier invocation has been here already: a log line would be a repetition. Not the same on every
    /// replay.
    pub fn is_replaying(&self) -> bool {
        self.replay.core().is_replaying()
    }

    pub(crate) fn path(&self) -> &str {
        &self.scope
    }

    pub(crate) fn replay(&self) -> &Arc<Replay> {
        &self.replay
    }

    fn draw(&self) -> [u8; 32] {
        static OUTSIDE: AtomicU64 = AtomicU64::new(0);
        let run = self.replay.run.seed.as_ref().unwrap_or(&self.replay.run.id);
        if self.replay.is_handler_here() {
            return ids::chance(run, &self.scope, self.replay.numbers().draw(&self.scope));
        }
        // Bodies are not replayed and tasks not followed: what they draw must not move the handler's counter.
        let now = self.replay.host.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        ids::chance(run, &format!("{}\n{now}", self.scope), OUTSIDE.fetch_add(1, Ordering::Relaxed))
    }

    fn entry(&self, kind: OpKind, id: &str) -> Call {
        Call::new(&self.replay, &self.scope, kind, id)
    }
}

/// `charge` of `billing/charge`.
fn name_of(target: &str) -> &str {
    target.rsplit('/').next().unwrap_or(target)
}
