//! `GET /v1/invocations/journal`: what did not fit into an invocation's body, page by page or one outcome at a time, from
//! the tables. Of what is settled they have all that the body was made from.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{declined, invocation, json};
use crate::api::body;
use crate::api::doors::{Doors, unexpected};
use crate::api::error::{FieldError, Problem};
use crate::dialect::native::{encode_entry, encode_page};
use crate::engine::{Command, Reply};
use crate::limits::{JOURNAL_PAGE_BYTES_MAX, JOURNAL_PAGE_ENTRIES_MAX, REFERENCE_BYTES_MIN};
use crate::store::SettledPage;

/// Which entries are wanted: exactly one of the two.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// The newest settled entries below this `seq`.
    before: Option<u32>,
    /// The entry with this id, whole.
    id: Option<String>,
}

/// Entries of a journal.
#[derive(ToSchema)]
#[schema(as = JournalPage)]
#[expect(dead_code, reason = "it is only described here; the dialect writes it")]
struct PageJson {
    /// The entries, by `seq`; one with `"ref": true` can be fetched by its id.
    #[schema(value_type = Vec<Object>)]
    journal: Vec<()>,
    /// What to ask for to get the page before this one; null when there is none.
    #[schema(required)]
    before: Option<u32>,
}

/// Fetch entries of a journal that did not fit into the invocation.
#[utoipa::path(
    get, path = "/v1/invocations/journal", tag = "invocations", operation_id = "invocationJournal",
    params(("authorization" = String, Header, description = "`Bearer` and the invocation's token"), PageQuery),
    responses((status = 200, description = "Settled entries, 4 MiB of them at most, or the one that was asked for",
        body = PageJson))
)]
pub(super) async fn journal(
    State(doors): State<Doors>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = invocation(&doors, &headers)?;
    let PageQuery { before, id } = body::query(query.as_deref())?;
    // The owner knows whether the invocation is current. One that needs more than a body will be open for a while.
    match doors.report(token.run, Command::Note { token }).await.map_err(|no| declined(token, no))? {
        Reply::Done => {}
        reply => return Err(unexpected(&reply)),
    }
    match (before, id) {
        (Some(before), None) => {
            let page = SettledPage {
                run: token.run,
                before,
                limit: JOURNAL_PAGE_ENTRIES_MAX,
                bytes_max: JOURNAL_PAGE_BYTES_MAX,
                outcome_bytes_max: REFERENCE_BYTES_MIN - 1,
            };
            Ok(json(encode_page(&doors.store.settled_before(page).await?)))
        }
        (None, Some(id)) => {
            let entry = doors.store.entry(token.run, id.into()).await?;
            Ok(json(encode_entry(entry.as_ref())))
        }
        _ => Err(Problem::field(FieldError::of("before", "say exactly one of `before` and `id`"))),
    }
}
