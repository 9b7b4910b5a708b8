//! Objects: durable state under a key, and the handlers that work on it. Of the exclusive handlers of one key one runs at a
//! time, in the order of arrival; shared ones run at once and only read.
//!
//! What a handler may do its context says: a shared one has none that writes, so that a mistake does not compile. Each
//! write is an entry of the journal, so a replay writes the same again without doing it twice.

use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::context::Ctx;
use crate::error::Error;
use crate::function::{Callable, Function, FunctionOptions, Mode};
use crate::raw::{ObjectWriter, Raw};

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 256;

/// The largest value of an object's state, in bytes: the server's bound.
const VALUE_BYTES_MAX: usize = 256 * 1024;

/// Durable state under a key, with the handlers that work on it: what [`App::object`](crate::App::object) takes.
///
/// ```
/// use backstitch::prelude::*;
/// use backstitch::{Object, ObjectCtx, SharedCtx};
///
/// async fn add(cart: ObjectCtx, sku: String) -> Result<usize, Error> {
///     let mut items: Vec<String> = cart.get("items")?.unwrap_or_default();
///     items.push(sku);
///     cart.set("items", &items)?;
///     Ok(items.len())
/// }
///
/// async fn show(cart: SharedCtx, _: ()) -> Result<Vec<String>, Error> {
///     Ok(cart.get("items")?.unwrap_or_default())
/// }
///
/// let cart = Object::new("cart").exclusive("add", add).shared("show", show);
/// let app = App::new("shop").object(cart);
/// # drop(app);
/// ```
#[derive(Clone)]
pub struct Object {
    pub(crate) id: String,
    pub(crate) handlers: Vec<Function>,
}

impl Object {
    /// An object without handlers. There is nothing to create: the object of a key is there as soon as somebody calls it.
    pub fn new(id: impl Into<String>) -> Object {
        Object { id: id.into(), handlers: Vec::new() }
    }

    /// Adds a handler that is alone with its key while it runs, and may write its state: an id or [`FunctionOptions`], and
    /// an async function.
    #[must_use]
    pub fn exclusive<I, O, E, F, Fut>(mut self, options: impl Into<FunctionOptions>, handler: F) -> Object
    where
        F: Fn(ObjectCtx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        let handler = Function::new(options, move |ctx: Ctx, input: I| handler(ObjectCtx(SharedCtx(ctx)), input));
        self.handlers.push(handler.with_mode(Mode::Exclusive));
        self
    }

    /// Adds a handler that runs beside whatever else runs, and only reads the state.
    #[must_use]
    pub fn shared<I, O, E, F, Fut>(mut self, options: impl Into<FunctionOptions>, handler: F) -> Object
    where
        F: Fn(SharedCtx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize,
        E: Into<Error>,
    {
        let handler = Function::new(options, move |ctx: Ctx, input: I| handler(SharedCtx(ctx), input));
        self.handlers.push(handler.with_mode(Mode::Shared));
        self
    }
}

/// What a shared handler of an object is given: a [`Ctx`], the key, and the state for reading.
#[derive(Clone)]
pub struct SharedCtx(Ctx);

/// What an exclusive handler of an object is given: a [`SharedCtx`] that can write, too. Nobody else changes the state while
/// it runs. What it writes is there at once for itself, and for others when it is durable.
#[derive(Clone)]
pub struct ObjectCtx(SharedCtx);

impl Deref for SharedCtx {
    type Target = Ctx;

    fn deref(&self) -> &Ctx {
        &self.0
    }
}

impl Deref for ObjectCtx {
    type Target = SharedCtx;

    fn deref(&self) -> &SharedCtx {
        &self.0
    }
}

impl SharedCtx {
    /// Which object this is.
    pub fn key(&self) -> &str {
        self.0.replay().run.key.as_deref().unwrap_or_default()
    }

    /// A value of the state; `None` if there is none of that name.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let value = self.0.replay().object.values().get(name).cloned();
        value.map(|value| value.decode(&format!("the value of `{name}`"))).transpose()
    }

    /// The names that have a value.
    pub fn names(&self) -> Vec<String> {
        self.0.replay().object.values().keys().cloned().collect()
    }
}

impl ObjectCtx {
    /// Writes a value, of at most 256 KiB; all values of a key together may have 1 MiB.
    pub fn set(&self, name: &str, value: impl Serialize) -> Result<(), Error> {
        self.write(BTreeMap::from([(name.to_owned(), written(name, &value)?)]))
    }

    /// Writes several values in one go: the fields of a struct, or a map.
    ///
    /// ```
    /// # use backstitch::{Error, ObjectCtx};
    /// # use serde::Serialize;
    /// #[derive(Serialize)]
    /// struct Cart {
    ///     items: Vec<String>,
    ///     orders: u32,
    /// }
    ///
    /// async fn empty(cart: ObjectCtx, orders: u32) -> Result<(), Error> {
    ///     cart.set_all(Cart { items: Vec::new(), orders })
    /// }
    /// # drop(empty);
    /// ```
    pub fn set_all(&self, values: impl Serialize) -> Result<(), Error> {
        let whole = Raw::encode(&values, "the state")?;
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(whole.as_bytes()).map_err(|_| {
            let message = "only the fields of a struct or a map can be written as state, each under its name";
            Error::terminal("InvalidStateError", message)
        })?;
        let values = fields.into_iter().map(|(name, value)| Ok((written(&name, value)?, name)));
        let values: Result<BTreeMap<String, Raw>, Error> =
            values.map(|it| it.map(|(value, name)| (name, value))).collect();
        self.write(values?)
    }

    /// Takes a value away.
    pub fn clear(&self, name: &str) -> Result<(), Error> {
        self.take_away(vec![name.to_owned()])
    }

    /// Takes all values away.
    pub fn clear_all(&self) -> Result<(), Error> {
        self.take_away(self.names())
    }

    fn write(&self, values: BTreeMap<String, Raw>) -> Result<(), Error> {
        let replay = self.0.0.replay();
        replay.check_place("a write of the state")?;
        if values.is_empty() {
            return Ok(());
        }
        let set = values.iter().fold(ObjectWriter::new(), |set, (name, value)| set.raw(name, value)).finish();
        replay.core().write_state(ObjectWriter::new().raw("set", &set).finish());
        replay.object.values().extend(values);
        Ok(())
    }

    fn take_away(&self, mut names: Vec<String>) -> Result<(), Error> {
        let replay = self.0.0.replay();
        replay.check_place("a write of the state")?;
        let mut values = replay.object.values();
        names.retain(|name| values.remove(name).is_some());
        if !names.is_empty() {
            let clear = Raw::encode(&names, "the names")?;
            replay.core().write_state(ObjectWriter::new().raw("clear", &clear).finish());
        }
        Ok(())
    }
}

fn written<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Raw, Error> {
    let advice = "split it over several names, or keep it elsewhere";
    Raw::bounded(value, &format!("the value of `{name}`"), VALUE_BYTES_MAX, advice)
}

/// The state of an object in one invocation: as of the run's beginning, and as the handler sees it.
pub(crate) struct Held {
    initial: Arc<BTreeMap<String, Raw>>,
    now: Mutex<BTreeMap<String, Raw>>,
}

impl Held {
    pub(crate) fn new(state: BTreeMap<String, Raw>) -> Held {
        Held { now: Mutex::new(state.clone()), initial: Arc::new(state) }
    }

    /// The same for a handler that begins anew.
    pub(crate) fn reborn(&self) -> Held {
        Held { now: Mutex::new(BTreeMap::clone(&self.initial)), initial: Arc::clone(&self.initial) }
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Raw>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names an object, of this code base or another.
///
/// ```
/// use backstitch::{Ctx, Error, HandlerRef, ObjectRef};
///
/// const CART: ObjectRef = ObjectRef::new("cart"); // or "shop/cart", from another app
/// const ADD: HandlerRef<String, usize> = CART.handler("add");
///
/// async fn gift(ctx: Ctx, customer: String) -> Result<usize, Error> {
///     ctx.call(ADD.key(customer), "card".to_owned()).await
/// }
/// # drop(gift);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ObjectRef {
    object: &'static str,
}

impl ObjectRef {
    /// `object` in the caller's own app, or `app/object`.
    pub const fn new(object: &'static str) -> ObjectRef {
        ObjectRef { object }
    }

    /// A handler of the object, with the types of its input and its result.
    pub const fn handler<I, O>(self, handler: &'static str) -> HandlerRef<I, O> {
        HandlerRef { object: self.object, handler, types: PhantomData }
    }

    /// The object of this key: for [`Client::state`](crate::Client::state).
    #[cfg(feature = "client")]
    pub fn key(self, key: impl Into<String>) -> ObjectKey {
        ObjectKey { object: self.object, key: key.into() }
    }
}

/// An object under its key, made by [`ObjectRef::key`].
#[cfg(feature = "client")]
#[derive(Debug, Clone)]
pub struct ObjectKey {
    pub(crate) object: &'static str,
    pub(crate) key: String,
}

/// Names a handler of an object, made by [`ObjectRef::handler`]. With a key it can be called and started like a function.
pub struct HandlerRef<I, O> {
    object: &'static str,
    handler: &'static str,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Clone for HandlerRef<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for HandlerRef<I, O> {}

impl<I, O> HandlerRef<I, O> {
    /// The handler of the object of this key, of 1 to 256 bytes.
    pub fn key(self, key: impl Into<String>) -> Keyed<I, O> {
        Keyed { target: format!("{}/{}", self.object, self.handler), key: key.into(), types: PhantomData }
    }
}

/// A handler of an object under its key, made by [`HandlerRef::key`].
pub struct Keyed<I, O> {
    target: String,
    key: String,
    types: PhantomData<fn(I) -> O>,
}

impl<I: Serialize, O: DeserializeOwned> Callable for Keyed<I, O> {
    type Input = I;
    type Output = O;

    fn target(&self) -> &str {
        &self.target
    }

    fn key(&self) -> Option<&str> {
        Some(&self.key)
    }
}

/// Whether the server takes such a key.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message = format!("`{key}` is no key of an object: keys have 1 to {KEY_BYTES_MAX} bytes");
        return Err(Error::terminal("InvalidKeyError", message));
    }
    Ok(())
}

/// The app that a target names, and the rest of it: a function, or an object and its handler.
pub(crate) fn app_of(target: &str, keyed: bool) -> (Option<&str>, &str) {
    let slashes = target.matches('/').count();
    match target.split_once('/') {
        Some((app, rest)) if slashes > usize::from(keyed) => (Some(app), rest),
        _ => (None, target),
    }
}
