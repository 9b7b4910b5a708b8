//! Whether the server lives, and whether it can work.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::Doors;
use super::error::Problem;

/// The addresses of health.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
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
