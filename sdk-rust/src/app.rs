//! Apps: a named set of functions that one code base serves.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::context::Ctx;
use crate::error::Error;
use crate::function::{Function, IntoFunction};
use crate::manifest::Manifest;
use crate::signature;
use crate::time::Clock;

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
        } else if self.functions.insert(id.clone(), function).is_some() {
            self.defects.push(format!("two functions have the id `{id}`"));
        }
        self
    }

    /// Adds a function without attribute, trigger or options.
    ///
    /// ```
    /// # use backstitch::{App, Ctx};
    /// let app = App::new("demo").function_fn("double", |_: Ctx, n: u64| async move { backstitch::Ok(n * 2) });
    /// ```
    #[must_use]
    pub fn function_fn<I, O, E, F, Fut>(self, id: impl Into<String>, handler: F) -> App
    where
        F: Fn(Ctx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        self.function(Function::new(id, handler))
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

    /// The app's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The app as it takes requests; `streams` says whether the host can answer slowly.
    pub(crate) fn serve(self, streams: bool) -> Arc<Served> {
        for defect in &self.defects {
            tracing::error!(app = %self.id, %defect, "the app cannot serve");
        }
        let functions = self.functions.values().map(|function| &function.manifest).collect();
        let manifest = Manifest::new(&self.id, self.config.version.as_deref(), streams, functions);
        Arc::new(Served { app: self, manifest })
    }
}

/// An app that takes requests.
pub(crate) struct Served {
    pub(crate) app: App,
    pub(crate) manifest: Manifest,
}
