//! Runs: lists, single runs, journals, results, changes as they happen, and what can be asked of a run.

mod acts;
mod entries;
mod explain;
mod failures;
mod fork;
mod list;
mod one;
mod result;
mod watch;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::Doors;
use super::error::Problem;
use crate::engine::Refusal;
use crate::model::RunId;

pub use acts::StatusJson;
pub use explain::ExplanationJson;
pub use fork::{ForkPlanJson, ForkedJson};
pub use list::CountsJson;
pub use one::ShownJson;
pub use result::ResultJson;

pub(super) use list::{check_filter, page_size, rows};
pub(super) use one::{newest, read};
pub(super) use result::{Awaited, WaitQuery, finished, wait_for_end};

/// The addresses of runs.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::counts))
        .routes(routes!(failures::failures))
        .routes(routes!(one::show))
        .routes(routes!(one::journal))
        .routes(routes!(result::result))
        .routes(routes!(watch::watch))
        .routes(routes!(explain::explain))
        .routes(routes!(acts::cancel))
        .routes(routes!(acts::kill))
        .routes(routes!(acts::pause))
        .routes(routes!(acts::resume))
        .routes(routes!(acts::relocate))
        .routes(routes!(entries::settle))
        .routes(routes!(one::status))
        .routes(routes!(fork::fork))
        .routes(routes!(fork::retry))
}

/// There is no such run.
pub(in crate::api) fn unknown(run: RunId) -> Problem {
    Refusal::UnknownRun(run).into()
}
