//! An event in JSON, with what came of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RunJson;
use crate::model::{EntryId, Event, EventId, FunctionId, Payload, RunHead, RunId, RunStatus, Text, Timestamp, Verdict};
use crate::store::EventView;

/// An event. In lists without what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventJson {
    /// Its id, `evt_…`.
    #[schema(value_type = String)]
    pub id: EventId,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Text,
    /// Its data.
    #[schema(value_type = Value)]
    pub data: Payload,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The id that its sender gave it (`id` in the request).
    #[schema(value_type = Option<String>)]
    pub client_id: Option<Text>,
    /// The run that sent it.
    #[schema(value_type = Option<String>)]
    pub source: Option<RunId>,
    /// The runs that it started; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunJson>>,
    /// The functions that it triggers and did not start; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<Vec<VerdictJson>>,
    /// The runs that waited for it and were woken by it: of the first 500 waits of all kinds of events that settled since it came. Left out
    /// in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken: Option<Vec<WokenJson>>,
}

/// A run that waited for an event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Woken)]
pub struct WokenJson {
    /// The run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// Its app.
    #[schema(value_type = String)]
    pub app: Text,
    /// Its function.
    #[schema(value_type = String)]
    pub function: Text,
    /// Where it stands now.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// The id of the wait, in its journal.
    #[schema(value_type = String)]
    pub entry: EntryId,
}

impl From<&(RunHead, EntryId)> for WokenJson {
    fn from((head, entry): &(RunHead, EntryId)) -> WokenJson {
        WokenJson {
            id: head.id,
            app: head.function.app.clone(),
            function: head.function.function.clone(),
            status: head.status,
            entry: entry.clone(),
        }
    }
}

impl From<&Event> for EventJson {
    fn from(event: &Event) -> EventJson {
        EventJson {
            id: event.id,
            name: event.name.clone(),
            data: event.data.clone(),
            at: event.at,
            client_id: event.client_id.clone(),
            source: event.source,
            runs: None,
            verdicts: None,
            woken: None,
        }
    }
}

impl From<&EventView> for EventJson {
    fn from(view: &EventView) -> EventJson {
        let verdicts = view.verdicts.iter().map(|(function, verdict)| VerdictJson::new(function, verdict));
        EventJson {
            runs: Some(view.runs.iter().map(RunJson::from).collect()),
            verdicts: Some(verdicts.collect()),
            woken: Some(view.woken.iter().map(WokenJson::from).collect()),
            ..EventJson::from(&view.event)
        }
    }
}

/// Why an event did not start a function that it triggers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Verdict)]
pub struct VerdictJson {
    /// The app of the function.
    #[schema(value_type = String)]
    pub app: Text,
    /// The function's id in its app.
    #[schema(value_type = String)]
    pub function: Text,
    /// `filtered` or `filterFailed`.
    pub verdict: String,
    /// What else there is to say.
    pub detail: Option<String>,
}

impl VerdictJson {
    fn new(function: &FunctionId, verdict: &Verdict) -> VerdictJson {
        VerdictJson {
            app: function.app.clone(),
            function: function.function.clone(),
            verdict: verdict.word().to_owned(),
            detail: verdict.detail().map(str::to_owned),
        }
    }
}
