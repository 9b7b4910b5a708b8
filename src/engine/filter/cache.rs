//! What filters need again and again: they themselves, compiled, and the event that is being delivered, parsed. Both are
//! caches of pure functions and change no answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Filter, FilterError, event_view};
use crate::limits::COMPILED_FILTERS_MAX;
use crate::model::{Event, EventId, Text};

/// The caches of one partition.
#[derive(Default)]
pub(in crate::engine) struct Filters {
    compiled: RefCell<BTreeMap<Text, Arc<Filter>>>,
    delivered: RefCell<Option<(EventId, Arc<serde_json::Value>)>>,
}

impl Filters {
    /// A filter, compiled at most once while it is remembered.
    pub(in crate::engine) fn compile(&self, source: &Text) -> Result<Arc<Filter>, FilterError> {
        let mut compiled = self.compiled.borrow_mut();
        if let Some(filter) = compiled.get(source) {
            return Ok(filter.clone());
        }
        let filter = Arc::new(Filter::compile(source)?);
        if compiled.len() >= COMPILED_FILTERS_MAX {
            compiled.clear();
        }
        compiled.insert(source.clone(), filter.clone());
        Ok(filter)
    }

    /// What filters see of an event that is delivered to many waits, one after the other.
    pub(in crate::engine) fn view(&self, event: &Event) -> Arc<serde_json::Value> {
        let mut delivered = self.delivered.borrow_mut();
        match &*delivered {
            Some((id, view)) if *id == event.id => view.clone(),
            _ => {
                let view = Arc::new(event_view(&event.name, &event.id.to_string(), &event.data));
                *delivered = Some((event.id, view.clone()));
                view
            }
        }
    }

    /// The delivery is over.
    pub(in crate::engine) fn forget_view(&self) {
        *self.delivered.borrow_mut() = None;
    }
}
