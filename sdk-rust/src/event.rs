//! Events: named, immutable JSON facts that trigger functions and wake waiting runs.

use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::raw::{ObjectWriter, Raw};
use crate::time;

/// A type whose values are the data of events of one name. Usually derived:
///
/// ```
/// use backstitch::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("order/created")]
/// struct OrderCreated {
///     id: String,
///     cents: u64,
/// }
///
/// assert_eq!(OrderCreated::NAME, "order/created");
/// ```
pub trait Event: Serialize + DeserializeOwned {
    /// The events' name.
    const NAME: &'static str;

    /// JSON Schema of the data, for people and tools: it is in the manifest of apps that such events trigger, and forms follow it.
    /// With the derive, `#[event("order/created", schema = …)]` has an expression for it: of the crate `schemars`, say,
    /// `schemars::schema_for!(OrderCreated).into()`.
    fn schema() -> Option<serde_json::Value> {
        None
    }
}

/// An event that a run was started by or has waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<E> {
    /// The event's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: E,
    /// When it was accepted, or was meant to happen.
    pub at: SystemTime,
}

/// An event that is about to be sent: an [`Event`], perhaps with an id and a time of its own.
pub struct Outgoing {
    pub(crate) name: String,
    pub(crate) data: Result<Raw, Error>,
    pub(crate) id: Option<String>,
    pub(crate) at: Option<SystemTime>,
}

impl Outgoing {
    /// An event whose name is known only at run time.
    pub fn new(name: impl Into<String>, data: impl Serialize) -> Outgoing {
        let name = name.into();
        let data = Raw::encode(&data, &format!("the event `{name}`"));
        Outgoing { name, data, id: None, at: None }
    }

    /// Gives the event an id: the server takes each id once in 24 hours.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Outgoing {
        self.id = Some(id.into());
        self
    }

    /// Gives the event a time; one in the future is held back until then.
    #[must_use]
    pub fn at(mut self, at: impl Into<SystemTime>) -> Outgoing {
        self.at = Some(at.into());
        self
    }

    /// `{"name","data","id"?,"at"?}`.
    pub(crate) fn write(&self) -> Result<Raw, Error> {
        let data = match &self.data {
            Ok(data) => data,
            Err(error) => return Err(Error::terminal(error.name(), error.message())),
        };
        let object = ObjectWriter::new().text("name", &self.name).raw("data", data);
        let object = object.optional_text("id", self.id.as_deref());
        Ok(object.optional_text("at", self.at.map(time::format).as_deref()).finish())
    }
}

impl<E: Event> From<E> for Outgoing {
    fn from(event: E) -> Outgoing {
        Outgoing::new(E::NAME, &event)
    }
}

/// `[..]` of events, as ops and the REST API take them.
pub(crate) fn write_all(events: &[Outgoing]) -> Result<Raw, Error> {
    let mut out = vec![b'['];
    for (position, event) in events.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event.write()?.as_bytes());
    }
    out.push(b']');
    Ok(Raw::written(out))
}
