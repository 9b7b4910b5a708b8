//! Apps: registered under their names, shown, synced, forgotten. Values of their headers are secret and never shown.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params};
use super::doors::Doors;
use super::error::Problem;
use super::view::{AppJson, PageJson};
use crate::catalog::CatalogError;
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::model::App;

/// The addresses of apps.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(register, show, remove)).routes(routes!(sync))
}

/// Where an app is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApp)]
struct NewApp {
    /// The address of its endpoint, such as `https://shop.example/api/backstitch`.
    url: String,
    /// Request headers for gateways and protection bypasses. Secret: they are never shown.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// List apps.
#[utoipa::path(
    get, path = "/v1/apps", tag = "apps", operation_id = "listApps",
    responses((status = 200, description = "All apps, on one page", body = PageJson<AppJson>))
)]
async fn list(State(doors): State<Doors>) -> Json<PageJson<AppJson>> {
    let registry = doors.catalog.registry();
    let current = |app: &App| registry.current(&app.name).map(|deployment| &**deployment);
    let items = registry.apps.values().map(|app| AppJson::new(app, current(app))).collect();
    Json(PageJson { items, next: None })
}

/// Register an app, or move it: its manifest is fetched and checked first.
#[utoipa::path(
    put, path = "/v1/apps/{app}", tag = "apps", operation_id = "registerApp",
    params(("app" = String, Path, description = "The app's name, as its code says it")),
    request_body = NewApp,
    responses((status = 200, description = "The app is registered", body = AppJson))
)]
async fn register(
    State(doors): State<Doors>,
    Params(app): Params<String>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Json<AppJson>, Problem> {
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let asked: NewApp = received.json()?;
    let synced = doors.catalog.register(&app, &asked.url, asked.headers.into_iter().collect()).await?;
    Ok(Json(AppJson::synced(synced)))
}

/// Show an app.
#[utoipa::path(
    get, path = "/v1/apps/{app}", tag = "apps", operation_id = "showApp",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, description = "The app", body = AppJson))
)]
async fn show(State(doors): State<Doors>, Params(app): Params<String>) -> Result<Json<AppJson>, Problem> {
    let registry = doors.catalog.registry();
    match registry.apps.get(app.as_str()) {
        Some(app) => Ok(Json(AppJson::new(app, registry.current(&app.name).map(|deployment| &**deployment)))),
        None => Err(CatalogError::Unknown(app.into()).into()),
    }
}

/// Fetch an app's manifest now.
#[utoipa::path(
    post, path = "/v1/apps/{app}/sync", tag = "apps", operation_id = "syncApp",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 200, description = "The app as its manifest says now", body = AppJson))
)]
async fn sync(State(doors): State<Doors>, Params(app): Params<String>) -> Result<Json<AppJson>, Problem> {
    Ok(Json(AppJson::synced(doors.catalog.sync(&app).await?)))
}

/// Forget an app. Its runs stay, and wait until somebody serves their functions again.
#[utoipa::path(
    delete, path = "/v1/apps/{app}", tag = "apps", operation_id = "removeApp",
    params(("app" = String, Path, description = "The app's name")),
    responses((status = 204, description = "The app is forgotten"))
)]
async fn remove(State(doors): State<Doors>, Params(app): Params<String>) -> Result<StatusCode, Problem> {
    match doors.catalog.remove(&app).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(CatalogError::Unknown(app.into()).into()),
    }
}
