//! Functions: user code with an id, triggers and a configuration, and how others refer to them.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::Error;
use crate::event::Event;
use crate::raw::Raw;
use crate::replay::drive::Handler;

/// A handler without its types.
pub(crate) type ErasedHandler = Arc<dyn Fn(Ctx, Raw) -> Handler + Send + Sync>;

/// A durable function: what [`App::function`](crate::App::function) takes.
///
/// The attribute [`function`](macro@crate::function) makes one of an `async fn`; this is the same by hand:
///
/// ```
/// use backstitch::{Ctx, Function, FunctionOptions, Retry};
///
/// let options = FunctionOptions::new("greet").retry(Retry::attempts(3));
/// let greet = Function::new(options, |ctx: Ctx, name: String| async move {
///     ctx.run("format", |_| async { backstitch::Ok(format!("hello {name}")) }).await
/// });
/// # let _ = backstitch::App::new("demo").function(greet);
/// ```
#[derive(Clone)]
pub struct Function {
    pub(crate) manifest: FunctionManifest,
    pub(crate) handler: ErasedHandler,
}

/// A function's id and all that the server is told about it. An id alone will do: [`Function::new`] takes that, too.
#[derive(Clone)]
pub struct FunctionOptions(FunctionManifest);

/// What the server is told about a function.
#[derive(Clone, Serialize)]
pub(crate) struct FunctionManifest {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) triggers: Vec<Trigger>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry: Option<Retry>,
    #[serde(skip_serializing_if = "Timeouts::is_empty")]
    pub(crate) timeouts: Timeouts,
}

/// What starts a function.
#[derive(Clone, Serialize)]
pub(crate) struct Trigger {
    pub(crate) event: String,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub(crate) when: Option<String>,
}

impl Function {
    /// A function that runs `handler`. Its input is decoded from the run's input, its result written as the run's outcome.
    pub fn new<I, O, E, F, Fut>(options: impl Into<FunctionOptions>, handler: F) -> Function
    where
        F: Fn(Ctx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        let erased = move |ctx: Ctx, input: Raw| -> Handler {
            // Called here, inside the driver, so that what the handler does before it returns its future is marked too.
            match input.decode::<I>("the input") {
                Ok(input) => handler(ctx, input)
                    .map(|result| result.map_err(Into::into).and_then(|value| Raw::encode(&value, "the result")))
                    .boxed(),
                Err(error) => std::future::ready(Err(error)).boxed(),
            }
        };
        Function { manifest: options.into().0, handler: Arc::new(erased) }
    }

    /// The function's id.
    pub fn id(&self) -> &str {
        &self.manifest.id
    }
}

impl<T: Into<String>> From<T> for FunctionOptions {
    fn from(id: T) -> FunctionOptions {
        FunctionOptions::new(id)
    }
}

impl FunctionOptions {
    /// A function of this id that nothing starts but a call, under the server's default policy.
    pub fn new(id: impl Into<String>) -> FunctionOptions {
        FunctionOptions(FunctionManifest {
            id: id.into(),
            name: None,
            triggers: Vec::new(),
            retry: None,
            timeouts: Timeouts::default(),
        })
    }

    /// The name that people see.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> FunctionOptions {
        self.0.name = Some(name.into());
        self
    }

    /// Starts a run for each event of this type.
    #[must_use]
    pub fn on<E: Event>(self) -> FunctionOptions {
        self.trigger(E::NAME, None)
    }

    /// Starts a run for each event of this type for which the CEL expression over `event` holds.
    #[must_use]
    pub fn on_when<E: Event>(self, when: impl Into<String>) -> FunctionOptions {
        self.trigger(E::NAME, Some(when.into()))
    }

    /// How often a failing handler is tried again; progress resets the count.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> FunctionOptions {
        self.0.retry = Some(retry);
        self
    }

    /// How long the run and its invocations may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> FunctionOptions {
        self.0.timeouts = timeouts;
        self
    }

    fn trigger(mut self, event: &str, when: Option<String>) -> FunctionOptions {
        self.0.triggers.push(Trigger { event: event.to_owned(), when });
        self
    }
}

/// A retry policy. What is not said is the server's default: 5 attempts, 1 s, doubling, at most 1 h, 20 % jitter.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", with = "written")]
    initial_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "written")]
    max_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    non_retryable: Vec<String>,
}

impl Retry {
    /// So many attempts in all; 1 means no retry.
    pub fn attempts(attempts: u32) -> Retry {
        Retry { attempts: Some(attempts), ..Retry::default() }
    }

    /// The wait before the second attempt.
    #[must_use]
    pub fn initial_interval(mut self, interval: Duration) -> Retry {
        self.initial_interval = Some(interval);
        self
    }

    /// By how much each wait is longer than the one before; at least 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Retry {
        self.factor = Some(factor);
        self
    }

    /// The longest wait.
    #[must_use]
    pub fn max_interval(mut self, interval: Duration) -> Retry {
        self.max_interval = Some(interval);
        self
    }

    /// By which share, from 0 to 1, waits vary, so that many runs do not come back at once.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Retry {
        self.jitter = Some(share);
        self
    }

    /// Names of errors that no retry will help.
    #[must_use]
    pub fn non_retryable<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Retry {
        self.non_retryable = names.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn to_raw(&self) -> Raw {
        Raw::written(serde_json::to_vec(self).expect("numbers and text are JSON"))
    }

    /// The wait after the failure of this attempt, without jitter; `None` when it was the last.
    pub(crate) fn wait_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts.unwrap_or(5) {
            return None;
        }
        let initial = self.initial_interval.unwrap_or(Duration::from_secs(1));
        let longest = self.max_interval.unwrap_or(Duration::from_secs(3600));
        let times = self.factor.unwrap_or(2.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
        Some(Duration::try_from_secs_f64(initial.as_secs_f64() * times).unwrap_or(longest).min(longest))
    }

    /// Whether an error of this name is final.
    pub(crate) fn is_final(&self, name: &str) -> bool {
        self.non_retryable.iter().any(|known| known == name)
    }
}

/// Time-outs of a function; all optional.
#[derive(Clone, Copy, Default, Debug, PartialEq, Serialize)]
pub struct Timeouts {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    start: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    run: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    pub(crate) invocation: Option<Duration>,
}

impl Timeouts {
    /// How long a run may be queued before it starts.
    #[must_use]
    pub fn start(mut self, timeout: Duration) -> Timeouts {
        self.start = Some(timeout);
        self
    }

    /// How long a run may take in all, waits included.
    #[must_use]
    pub fn run(mut self, timeout: Duration) -> Timeouts {
        self.run = Some(timeout);
        self
    }

    /// How long one HTTP call of the handler may take; 15 minutes without it.
    #[must_use]
    pub fn invocation(mut self, timeout: Duration) -> Timeouts {
        self.invocation = Some(timeout);
        self
    }

    fn is_empty(&self) -> bool {
        *self == Timeouts::default()
    }
}

/// Durations of options, as the wire writes them.
mod written {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::duration;

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&duration::format(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration::parse(&text).map(Some).map_err(D::Error::custom)
    }
}

/// What a function that bears the attribute [`function`](macro@crate::function) is: its name gives this when it is
/// called, and stands for it in [`App::function`](crate::App::function) and [`Ctx::call`].
pub struct Defined<I, O> {
    id: &'static str,
    make: fn() -> Function,
    types: PhantomData<fn(I) -> O>,
}

/// For the macro's output.
pub fn define<I, O>(id: &'static str, make: fn() -> Function) -> Defined<I, O> {
    Defined { id, make, types: PhantomData }
}

/// What [`App::function`](crate::App::function) takes: a [`Function`], or the name of one that bears the attribute.
pub trait IntoFunction {
    /// The function.
    fn into_function(self) -> Function;
}

impl IntoFunction for Function {
    fn into_function(self) -> Function {
        self
    }
}

impl<F, I, O> IntoFunction for F
where
    F: Fn() -> Defined<I, O>,
{
    fn into_function(self) -> Function {
        (self().make)()
    }
}

/// Something that can be called or started as a child: the name of a function that bears the attribute, or a
/// [`FunctionRef`].
pub trait Callable {
    /// What it takes.
    type Input: Serialize;
    /// What it returns.
    type Output: DeserializeOwned;

    /// `function` in the caller's own app, or `app/function`.
    fn target(&self) -> &str;
}

impl<F, I, O> Callable for F
where
    F: Fn() -> Defined<I, O>,
    I: Serialize,
    O: DeserializeOwned,
{
    type Input = I;
    type Output = O;

    fn target(&self) -> &str {
        self().id
    }
}

/// Names a function whose code is elsewhere.
///
/// ```
/// use backstitch::FunctionRef;
///
/// const CHARGE: FunctionRef<u64, String> = FunctionRef::new("billing/charge");
/// ```
pub struct FunctionRef<I, O> {
    target: &'static str,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> FunctionRef<I, O> {
    /// `function` in the caller's own app, or `app/function`.
    pub const fn new(target: &'static str) -> FunctionRef<I, O> {
        FunctionRef { target, types: PhantomData }
    }
}

impl<I, O> Clone for FunctionRef<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for FunctionRef<I, O> {}

impl<I: Serialize, O: DeserializeOwned> Callable for FunctionRef<I, O> {
    type Input = I;
    type Output = O;

    fn target(&self) -> &str {
        self.target
    }
}
