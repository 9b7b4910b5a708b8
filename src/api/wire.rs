//! `GET /dev/invocations`: the last invocations as they went over the wire. Only a server for development keeps them.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body;
use super::doors::Doors;
use super::error::{Code, Problem};
use super::runs::page_size;
use super::view::PageJson;
use crate::dispatch::{Exchange, Half};
use crate::model::{RunId, Text, Timestamp};

/// The address of the wire.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(invocations))
}

/// Of which run.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WireQuery {
    /// Only for this run.
    run: Option<String>,
    /// At most this many: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// One call of a handler, as it went over the wire.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Exchange)]
struct ExchangeJson {
    /// Its ordinal since the server began, from 1.
    n: u64,
    /// The run that it was made for.
    #[schema(value_type = String)]
    run: RunId,
    /// The app that was called.
    #[schema(value_type = String)]
    app: Text,
    /// The function that was called.
    #[schema(value_type = String)]
    function: Text,
    /// Where it was sent.
    url: String,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How long it took, in milliseconds; nothing while it is open.
    took_ms: Option<i64>,
    /// What was sent.
    request: HalfJson,
    /// What came back, if anything has.
    response: Option<AnswerJson>,
    /// Why nothing came back, or not all of it.
    trouble: Option<String>,
}

/// One direction of an exchange.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExchangeHalf)]
struct HalfJson {
    /// Names and values of its headers; values of secret ones are left out.
    headers: Vec<(String, String)>,
    /// The first 64 KiB of the body.
    body: String,
    /// How many bytes the whole body has.
    bytes: usize,
}

/// What came back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExchangeAnswer)]
struct AnswerJson {
    /// The status.
    status: u16,
    #[serde(flatten)]
    half: HalfJson,
}

/// The last invocations with request and response, the newest first. Only `backstitch dev` keeps them, in memory and 200 at most.
#[utoipa::path(
    get, path = "/dev/invocations", tag = "dev", operation_id = "listInvocations", params(WireQuery),
    responses((status = 200, description = "Exchanges; there is one page of them", body = PageJson<ExchangeJson>))
)]
async fn invocations(
    State(doors): State<Doors>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<ExchangeJson>>, Problem> {
    let query: WireQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let run = query.run.as_deref().map(|run| body::id::<RunId>("run", run)).transpose()?;
    let Some(wire) = &doors.wire else {
        let detail = "failed to show invocations: only a server for development (`backstitch dev`) keeps them";
        return Err(Problem::new(Code::UnknownRoute, detail));
    };
    Ok(Json(PageJson { items: wire.read(run, size).into_iter().map(ExchangeJson::from).collect(), next: None }))
}

impl From<Exchange> for ExchangeJson {
    fn from(exchange: Exchange) -> ExchangeJson {
        let answer = exchange.status.zip(exchange.response);
        ExchangeJson {
            n: exchange.number,
            run: exchange.run,
            app: exchange.function.app,
            function: exchange.function.function,
            url: exchange.url,
            at: exchange.at,
            took_ms: exchange.ended_at.map(|ended| ended.0.saturating_sub(exchange.at.0)),
            request: HalfJson::from(exchange.request),
            response: answer.map(|(status, half)| AnswerJson { status, half: HalfJson::from(half) }),
            trouble: exchange.trouble,
        }
    }
}

impl From<Half> for HalfJson {
    fn from(half: Half) -> HalfJson {
        HalfJson { headers: half.headers, body: half.body, bytes: half.bytes }
    }
}
