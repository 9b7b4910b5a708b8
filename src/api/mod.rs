//! The REST API: what the world asks of the server, and what it is told.
//!
//! There is a file for each resource. Each of them translates a request into a command for the owner of a run, or into a
//! read of the ledger, and translates what comes back. None of them decides anything about a run, and none answers from
//! what is not durable: commands are answered behind the gate, and reads see the ledger.
//!
//! Around every request ([`request`]): an id, one line in the log, no panic that goes further. Before it ([`guard`]): the
//! host and the origin. Below it ([`server`]): connections with bounds. Errors become HTTP in `error.rs` and nowhere else.

mod apps;
mod awakeables;
mod body;
mod cors;
mod cursor;
mod deployments;
mod dev;
mod doors;
mod error;
mod events;
mod functions;
mod guard;
mod health;
mod invocations;
mod jobs;
mod objects;
mod openapi;
mod request;
mod runs;
mod schedules;
mod server;
mod signals;
mod stats;
mod streams;
mod updates;
pub mod view;
mod watch;
mod wire;

use axum::Router;
use axum::http::Method;
use axum::middleware;
use axum::response::IntoResponse;
use http::{Uri, header};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

pub use dev::{ClockJson, Dev, EffectJson};
pub use doors::{Doors, Places, Rooms};
pub use error::{Code, FieldError, ProblemBody};
pub use events::{AcceptedEventJson, AcceptedJson, StartedJson};
pub use functions::{PausedJson, RunRefJson};
pub use guard::Guard;
pub use health::HealthJson;
pub use jobs::JobCountJson;
pub use objects::{ObjectKeyJson, ObjectStateJson};
pub use runs::{CountsJson, ExplanationJson, ForkPlanJson, ForkedJson, ResultJson, ShownJson, StatusJson};
pub use schedules::{BackfillPlanJson, TickJson};
pub use server::serve;
pub use signals::SignalledJson;
pub use streams::SubscriptionJson;
pub use updates::UpdateJson;

use error::Problem;

/// All addresses, ready to be served, with what else is served `beside` them: the same guard stands before both.
pub fn router(doors: Doors, beside: Router<Doors>) -> Router {
    let cors = cors::layer(&doors.cors_origins);
    let (routes, document) = described().split_for_parts();
    let document: bytes::Bytes = print(openapi::with_problems(document)).into();
    let description = move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], document.clone()));
    let routes = routes
        .merge(beside)
        .route("/openapi.json", axum::routing::get(description))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method);
    let routes = match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(middleware::from_fn_with_state(doors.clone(), request::around)).with_state(doors)
}

/// The OpenAPI document of this version, as `/openapi.json` serves it.
pub fn description() -> String {
    print(openapi::with_problems(described().split_for_parts().1))
}

fn print(document: utoipa::openapi::OpenApi) -> String {
    let mut text = document.to_pretty_json().expect("a document of strings and numbers can be printed");
    text.push('\n');
    text
}

fn described() -> OpenApiRouter<Doors> {
    OpenApiRouter::with_openapi(openapi::Description::openapi())
        .merge(events::routes())
        .merge(functions::routes())
        .merge(objects::routes())
        .merge(runs::routes())
        .merge(stats::routes())
        .merge(watch::routes())
        .merge(wire::routes())
        .merge(signals::routes())
        .merge(streams::routes())
        .merge(updates::routes())
        .merge(awakeables::routes())
        .merge(apps::routes())
        .merge(deployments::routes())
        .merge(invocations::routes())
        .merge(jobs::routes())
        .merge(schedules::routes())
        .merge(dev::routes())
        .merge(health::routes())
}

async fn unknown_route(method: Method, uri: Uri) -> impl IntoResponse {
    let detail = format!("failed to find {method} {}: see /openapi.json for what there is", uri.path());
    Problem::new(Code::UnknownRoute, detail)
}

async fn wrong_method(method: Method, uri: Uri) -> impl IntoResponse {
    let detail = format!("failed to {method} {}: the header `allow` has the methods that are possible", uri.path());
    Problem::new(Code::MethodNotAllowed, detail)
}
