//! Apps: a named set of functions that one code base serves.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::context::Ctx;
use crate::error::Error;
use crate::function::{Function, FunctionOptions, IntoFunction};
use crate::invocations::Invocations;
use crate::manifest::{Abilities, Manifest};
use crate::object::Object;
use crate::port::{Outbound, Port};
use crate::replay::call::Host;
use crate::signature;
use crate::time::Clock;

/// What handlers share, by its type.
pub(crate) type State = Arc<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>;

/// A named set of functions.
///
/// ```
/// use backstitch::{App, Ctx, Error};
///
/// #[backstitch::function]
/// async fn greet(ctx: Ctx, name: String) -> Result<String, Error> {
///     ctx.run("format", |_| async { backstitch::Ok(format!("hello {name}")) }).await
/// }
///
/// let app = App::new("demo").function(greet);
/// # #[cfg(feature = "axum")]
/// let router: axum::Router = app.router();
/// ```
///
/// Requests are verified with the keys in `BACKSTITCH_KEY`; without a key they are refused, unless `BACKSTITCH_DEV=1`.
/// `BACKSTITCH_VERSION` names the deployment. The environment is read by [`App::new`].
#[derive(Clone)]
pub struct App {
    pub(crate) id: String,
    pub(crate) functions: BTreeMap<String, Function>,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) state: State,
    pub(crate) invocations: Invocations,
    pub(crate) outbound: bool,
    pub(crate) linger: Option<Duration>,
    pub(crate) host_limit: Option<Duration>,
    /// What makes the app unfit to serve; every request is answered with it.
    pub(crate) defects: Vec<String>,
}

impl App {
    /// An app without functions, configured from the environment.
    pub fn new(id: impl Into<String>) -> App {
        App {
            id: id.into(),
            functions: BTreeMap::new(),
            config: Config::from_environment(),
            clock: Clock::system(),
            state: State::default(),
            invocations: Invocations::default(),
            outbound: true,
            linger: None,
            host_limit: None,
            defects: Vec::new(),
        }
    }

    /// Adds a function: one made by the attribute, or a [`Function`]. An id that is taken makes the app answer every
    /// request with an error that says so.
    #[must_use]
    pub fn function(mut self, function: impl IntoFunction) -> App {
        let function = function.into_function();
        let id = function.id().to_owned();
        if id.is_empty() || id.contains('/') {
            self.defects.push(format!("the function id `{id}` is empty or contains a slash"));
            return self;
        }
        if let Some(handler) = function.failure_handler() {
            self.add(handler.id().to_owned(), handler);
        }
        self.add(id, function);
        self
    }

    /// Adds an object. An id that is taken, or that names nothing, makes the app answer every request with an error that
    /// says so.
    #[must_use]
    pub fn object(mut self, object: Object) -> App {
        let Object { id, handlers } = object;
        if id.is_empty() || id.contains('/') {
            self.defects.push(format!("the object id `{id}` is empty or contains a slash"));
        } else if handlers.is_empty() {
            self.defects.push(format!("the object `{id}` has no handlers"));
        } else if self.objects().any(|(taken, _)| taken == id) {
            self.defects.push(format!("two objects have the id `{id}`"));
        }
        for handler in handlers {
            let own = handler.id();
            let defect = if own.is_empty() || own.contains('/') {
                Some("its id is empty or contains a slash")
            } else if !handler.manifest.triggers.is_empty() {
                Some("a handler of an object is called under a key, no event starts it")
            } else if handler.on_failure.is_some() {
                Some("handlers of objects have no `on_failure`: wait for the event `backstitch/run.failed`")
            } else {
                None
            };
            if let Some(defect) = defect {
                self.defects.push(format!("the handler `{own}` of the object `{id}` is refused: {defect}"));
            }
            self.add(format!("{id}/{own}"), handler);
        }
        self
    }

    fn add(&mut self, id: String, function: Function) {
        if self.functions.insert(id.clone(), function).is_some() {
            self.defects.push(format!("two functions have the id `{id}`"));
        }
    }

    /// The handlers of objects, with their object's id.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&str, &Function)> {
        self.functions.iter().filter_map(|(id, handler)| Some((id.split_once('/')?.0, handler)))
    }

    /// Adds a function without the attribute: an id or [`FunctionOptions`], and a closure, which may capture what it needs.
    ///
    /// ```
    /// # use backstitch::{App, Ctx, FunctionOptions, Retry};
    /// let patient = FunctionOptions::new("triple").name("Times three").retry(Retry::attempts(9));
    /// let app = App::new("demo")
    ///     .function_fn("double", |_: Ctx, n: u64| async move { backstitch::Ok(n * 2) })
    ///     .function_fn(patient, |_: Ctx, n: u64| async move { backstitch::Ok(n * 3) });
    /// ```
    #[must_use]
    pub fn function_fn<I, O, E, F, Fut>(self, options: impl Into<FunctionOptions>, handler: F) -> App
    where
        F: Fn(Ctx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        self.function(Function::new(options, handler))
    }

    /// Uses these keys instead of `BACKSTITCH_KEY`: one, or two separated by a comma.
    #[must_use]
    pub fn keys(mut self, keys: &str) -> App {
        self.config.keys = signature::parse_keys(keys);
        self
    }

    /// Whether unsigned requests are accepted where no key is configured, instead of `BACKSTITCH_DEV`.
    #[must_use]
    pub fn dev(mut self, dev: bool) -> App {
        self.config.dev = dev;
        self
    }

    /// Names the deployment, instead of `BACKSTITCH_VERSION`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> App {
        self.config.version = Some(version.into());
        self
    }

    /// Gives all handlers of the app this value, which they get with [`Ctx::state`]: a pool of connections, a client. One
    /// of each type; a later one replaces it.
    ///
    /// ```
    /// # use backstitch::{App, Ctx, Error};
    /// struct Ledger { account: String }
    ///
    /// #[backstitch::function]
    /// async fn charge(ctx: Ctx, cents: u64) -> Result<String, Error> {
    ///     let ledger = ctx.state::<Ledger>()?;
    ///     ctx.run("charge", |_| async { backstitch::Ok(format!("{cents} from {}", ledger.account)) }).await
    /// }
    ///
    /// let app = App::new("shop").function(charge).state(Ledger { account: "main".to_owned() });
    /// ```
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> App {
        Arc::make_mut(&mut self.state).insert(TypeId::of::<T>(), Arc::new(value));
        self
    }

    /// Whether handlers may make requests to the server: true, unless the crate's feature `outbound` is off. With it a run
    /// reports while it works instead of being invoked for each step; without it, and where the server cannot be reached,
    /// everything goes out with the answer.
    #[must_use]
    pub fn outbound(mut self, outbound: bool) -> App {
        self.outbound = outbound;
        self
    }

    /// How long an invocation that has nothing to do stays open for what may come soon: 1 s behind axum, else nothing.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> App {
        self.linger = Some(linger);
        self
    }

    /// How long the host lets a request take. Near its end no body begins; the run goes on in another invocation.
    #[must_use]
    pub fn host_limit(mut self, limit: Duration) -> App {
        self.host_limit = Some(limit);
        self
    }

    /// The invocations of this app and its clones that are under way, for a graceful end.
    pub fn invocations(&self) -> Invocations {
        self.invocations.clone()
    }

    /// The app's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the app brings to each invocation.
    pub(crate) fn host(&self) -> Host {
        Host { clock: self.clock.clone(), state: Arc::clone(&self.state), stubs: Arc::default() }
    }

    /// The app as it takes requests.
    pub(crate) fn serve(self, host: Serving) -> Arc<Served> {
        let Serving { streams, linger, bytes_max } = host;
        let outbound = if self.outbound { port().map(|port| Arc::new(Outbound::new(port))) } else { None };
        for defect in &self.defects {
            tracing::error!(app = %self.id, %defect, "the app cannot serve");
        }
        let abilities = Abilities { streams, outbound: outbound.is_some(), limit: self.host_limit, bytes_max };
        let manifest = Manifest::new(&self, abilities);
        let linger = self.linger.unwrap_or(linger);
        Arc::new(Served { app: self, manifest, outbound, linger, bytes_max })
    }
}

/// An app that takes requests.
pub(crate) struct Served {
    pub(crate) app: App,
    pub(crate) manifest: Manifest,
    /// The way back to the server, if there is one.
    pub(crate) outbound: Option<Arc<Outbound>>,
    pub(crate) linger: Duration,
    /// The largest body of a request and of a response, in bytes.
    pub(crate) bytes_max: usize,
}

/// What a host brings.
pub(crate) struct Serving {
    /// It can answer slowly.
    pub(crate) streams: bool,
    /// How long its invocations stay open, unless the app says otherwise.
    pub(crate) linger: Duration,
    /// The largest body of a request and of a response, in bytes.
    pub(crate) bytes_max: usize,
}

#[cfg(feature = "outbound")]
fn port() -> Option<Arc<dyn Port>> {
    crate::port::http::Http::new().map(|http| Arc::new(http) as Arc<dyn Port>)
}

#[cfg(not(feature = "outbound"))]
fn port() -> Option<Arc<dyn Port>> {
    None
}
