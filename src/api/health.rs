//! Whether the server lives, whether it can work, and what it counts.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::Doors;
use super::error::Problem;
use crate::processor::Processor;

/// The addresses of health.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// What a server says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthJson {
    /// `ok`.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// The environment's name.
    pub environment: String,
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    pub time: crate::model::Timestamp,
}

impl HealthJson {
    fn of(doors: &Doors) -> Json<HealthJson> {
        Json(HealthJson {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: doors.environment.to_string(),
            time: doors.clock.wall(),
        })
    }
}

/// Whether the process lives. Touches nothing.
#[utoipa::path(
    get, path = "/healthz", tag = "health", operation_id = "healthz",
    responses((status = 200, description = "It lives", body = HealthJson))
)]
async fn healthz(State(doors): State<Doors>) -> Json<HealthJson> {
    HealthJson::of(&doors)
}

/// Whether the server takes work: its database answers, and it is not stopping.
#[utoipa::path(
    get, path = "/readyz", tag = "health", operation_id = "readyz",
    responses((status = 200, description = "It takes work", body = HealthJson))
)]
async fn readyz(State(doors): State<Doors>) -> Result<Json<HealthJson>, Problem> {
    if doors.draining() {
        return Err(Problem::unavailable("failed to be ready: the server is stopping"));
    }
    doors.store.ping().await?;
    if doors.cluster.local().any(|partition| !partition.is_open()) {
        return Err(Problem::unavailable("failed to be ready: a partition is down; the server's log says why"));
    }
    Ok(HealthJson::of(&doors))
}

/// What Prometheus calls the format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the server counts, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "Names and numbers", content_type = "text/plain", body = String))
)]
async fn metrics(State(doors): State<Doors>) -> impl IntoResponse {
    let registry = doors.catalog.registry();
    let waiting: usize = doors.cluster.local().map(Processor::waiting).sum();
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let gauges = [
        ("backstitch_requests_waiting", "Requests that wait for a partition.", number(waiting)),
        ("backstitch_watches", "Clients that watch runs.", number(doors.watching.taken())),
        ("backstitch_polls", "Handlers that wait for news.", number(doors.polling.taken())),
        ("backstitch_apps", "Apps that are registered.", number(registry.apps.len())),
        ("backstitch_deployments", "Deployments that are known.", number(registry.deployments.len())),
    ];
    ([(header::CONTENT_TYPE, EXPOSITION)], doors.metrics.print(&gauges))
}
