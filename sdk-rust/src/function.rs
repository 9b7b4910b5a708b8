//! Functions: user code with an id, triggers and a configuration, and how others refer to them.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Ctx;
use crate::error::Error;
use crate::event::Event;
use crate::failed::Failed;
use crate::policy::{Retry, Timeouts};
use crate::raw::Raw;
use crate::replay::drive::Handler;
use crate::schedule::Schedule;

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
    /// What is started for each run that fails for good.
    pub(crate) on_failure: Option<ErasedHandler>,
}

/// A function's id and all that the server is told about it. An id alone will do: [`Function::new`] takes that, too.
#[derive(Clone)]
pub struct FunctionOptions {
    manifest: FunctionManifest,
    on_failure: Option<ErasedHandler>,
}

/// How a handler works on its object.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Mode {
    /// One at a time.
    Exclusive,
    /// At once beside others, and without changing it.
    Shared,
}

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
    #[serde(rename = "cancelOn", skip_serializing_if = "Vec::is_empty")]
    pub(crate) cancel_on: Vec<Canceller>,
    /// Of a handler of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Mode>,
}

/// What starts a function.
#[derive(Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Trigger {
    Event {
        event: String,
        #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
        when: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        schema: Option<serde_json::Value>,
    },
    /// The final failure of a run of this function.
    Failure {
        #[serde(rename = "failureOf")]
        failure_of: String,
    },
    /// Times.
    Schedule(Schedule),
}

/// What cancels runs of a function.
#[derive(Clone, Serialize)]
pub(crate) struct Canceller {
    event: String,
    #[serde(rename = "if")]
    when: String,
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
        let FunctionOptions { manifest, on_failure } = options.into();
        Function { manifest, handler: erase(handler), on_failure }
    }

    pub(crate) fn with_mode(mut self, mode: Mode) -> Function {
        self.manifest.mode = Some(mode);
        self
    }

    /// The function that is started for each run of this one that fails for good, if there is one.
    pub(crate) fn failure_handler(&self) -> Option<Function> {
        let handler = Arc::clone(self.on_failure.as_ref()?);
        let mut manifest = FunctionOptions::new(format!("{}.onFailure", self.id())).manifest;
        manifest.triggers.push(Trigger::Failure { failure_of: self.id().to_owned() });
        Some(Function { manifest, handler, on_failure: None })
    }

    /// The function's id.
    pub fn id(&self) -> &str {
        &self.manifest.id
    }
}

fn erase<I, O, E, F, Fut>(handler: F) -> ErasedHandler
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
    Arc::new(erased)
}

impl<T: Into<String>> From<T> for FunctionOptions {
    fn from(id: T) -> FunctionOptions {
        FunctionOptions::new(id)
    }
}

impl FunctionOptions {
    /// A function of this id that nothing starts but a call, under the server's default policy.
    pub fn new(id: impl Into<String>) -> FunctionOptions {
        let manifest = FunctionManifest {
            id: id.into(),
            name: None,
            triggers: Vec::new(),
            retry: None,
            timeouts: Timeouts::default(),
            cancel_on: Vec::new(),
            mode: None,
        };
        FunctionOptions { manifest, on_failure: None }
    }

    /// The name that people see.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> FunctionOptions {
        self.manifest.name = Some(name.into());
        self
    }

    /// Starts a run for each event of this type.
    #[must_use]
    pub fn on<E: Event>(self) -> FunctionOptions {
        self.trigger::<E>(None)
    }

    /// Starts a run for each event of this type for which the CEL expression over `event` holds.
    #[must_use]
    pub fn on_when<E: Event>(self, when: impl Into<String>) -> FunctionOptions {
        self.trigger::<E>(Some(when.into()))
    }

    /// Starts a run at each time of a schedule, which is called as the function is unless it has an id of its own.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> FunctionOptions {
        self.manifest.triggers.push(Trigger::Schedule(schedule));
        self
    }

    /// How often a failing handler is tried again; progress resets the count.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> FunctionOptions {
        self.manifest.retry = Some(retry);
        self
    }

    /// How long the run and its invocations may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> FunctionOptions {
        self.manifest.timeouts = timeouts;
        self
    }

    /// Cancels runs by events of this type. Which runs, a CEL expression says over `event` (what triggered the run) and
    /// `async` (the event that may cancel it), with an equality to look the runs up by, such as
    /// `async.data.orderId == event.data.orderId`.
    #[must_use]
    pub fn cancel_on<E: Event>(mut self, when: impl Into<String>) -> FunctionOptions {
        self.manifest.cancel_on.push(Canceller { event: E::NAME.to_owned(), when: when.into() });
        self
    }

    /// Starts a function of its own, `<id>.onFailure`, for each run that fails for good: to tell somebody, to clean up.
    ///
    /// ```
    /// use backstitch::{App, Ctx, Error, Failed, FunctionOptions};
    ///
    /// async fn tell(ctx: Ctx, failed: Failed<u64>) -> Result<(), Error> {
    ///     let text = format!("order {} failed: {}", failed.input, failed.error);
    ///     ctx.run("mail", |_| async { backstitch::Ok(println!("{text}")) }).await
    /// }
    ///
    /// let options = FunctionOptions::new("order").on_failure(tell);
    /// let app = App::new("shop").function_fn(options, |_: Ctx, order: u64| async move { backstitch::Ok(order) });
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn on_failure<I, O, E, F, Fut>(mut self, handler: F) -> FunctionOptions
    where
        F: Fn(Ctx, Failed<I>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        self.on_failure = Some(erase(handler));
        self
    }

    fn trigger<E: Event>(mut self, when: Option<String>) -> FunctionOptions {
        self.manifest.triggers.push(Trigger::Event { event: E::NAME.to_owned(), when, schema: E::schema() });
        self
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

    /// `function` in the caller's own app, or `app/function`; of a handler of an object `object/handler`, or
    /// `app/object/handler`.
    fn target(&self) -> &str;

    /// The key of the object, for a handler of one.
    fn key(&self) -> Option<&str> {
        None
    }
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
