//! Deployments of apps: who is still on them, and how they go out of use.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::{self, Params};
use super::cursor;
use super::doors::Doors;
use super::error::Problem;
use super::jobs::JobCountJson;
use super::runs::page_size;
use super::view::{DeploymentJson, JobJson, PageJson};
use crate::catalog::{self, CatalogError};
use crate::jobs::{self, NewJob};
use crate::limits::SMALL_BODY_BYTES_MAX;
use crate::model::{Deployment, DeploymentId, JobAction, JobFilter, JobOptions, MoveTo};

/// The addresses of deployments.
pub(super) fn routes() -> OpenApiRouter<Doors> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, retire))
        .routes(routes!(drain))
        .routes(routes!(relocate))
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Items on the page: 50 if left out, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// Where runs are moved to.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Move)]
struct MoveJson {
    /// `current`, or the id of a deployment of the same app.
    #[schema(value_type = String)]
    to: MoveTo,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

async fn view(doors: &Doors, deployment: &Deployment) -> Result<DeploymentJson, Problem> {
    let open = catalog::open_runs(&*doors.store, deployment.id).await?;
    let current = doors.catalog.registry().is_current(deployment);
    Ok(DeploymentJson { open_runs: Some(open), ..DeploymentJson::new(deployment, current) })
}

/// List the deployments of an app, newest first: those that are in use, and the last that were.
#[utoipa::path(
    get, path = "/v1/apps/{app}/deployments", tag = "apps", operation_id = "listDeployments",
    params(("app" = String, Path, description = "The app's name"), PageQuery),
    responses((status = 200, description = "A page of deployments", body = PageJson<DeploymentJson>))
)]
async fn list(
    State(doors): State<Doors>,
    Params(app): Params<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<PageJson<DeploymentJson>>, Problem> {
    let query: PageQuery = body::query(query.as_deref())?;
    let size = page_size(query.limit)?;
    let before = query.cursor.as_deref().map(|text| cursor::read("deployments", &app, text)).transpose()?;
    let registry = doors.catalog.registry();
    let mut found: Vec<_> = registry.deployments.values().filter(|deployment| *deployment.app == *app).collect();
    if found.is_empty() && !registry.apps.contains_key(app.as_str()) {
        return Err(CatalogError::Unknown(app.into()).into());
    }
    found.sort_by_key(|deployment| std::cmp::Reverse((deployment.created_at, deployment.id)));
    found.retain(|deployment| before.is_none_or(|before| deployment.created_at.0 < before));
    // Those of one moment stay on one page, because the moment is where the next begins.
    let last = found.get(size - 1).map(|deployment| deployment.created_at);
    let shown = last.map_or(found.len(), |last| found.partition_point(|deployment| deployment.created_at >= last));
    let mut items = Vec::with_capacity(shown);
    for deployment in &found[..shown] {
        items.push(view(&doors, deployment).await?);
    }
    let next = last.filter(|_| shown < found.len()).map(|last| cursor::print("deployments", &app, last.0));
    Ok(Json(PageJson { items, next }))
}

/// Show a deployment, with the number of runs that are pinned to it and have not ended.
#[utoipa::path(
    get, path = "/v1/apps/{app}/deployments/{deployment}", tag = "apps", operation_id = "showDeployment",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("deployment" = String, Path, description = "The deployment's id")
    ),
    responses((status = 200, description = "The deployment", body = DeploymentJson))
)]
async fn show(
    State(doors): State<Doors>,
    Params((app, deployment)): Params<(String, String)>,
) -> Result<Json<DeploymentJson>, Problem> {
    let id: DeploymentId = body::id("deployment", &deployment)?;
    let registry = doors.catalog.registry();
    match registry.deployment(&app, id) {
        Some(deployment) => Ok(Json(view(&doors, deployment).await?)),
        None => Err(CatalogError::UnknownDeployment(app.into(), id).into()),
    }
}

/// Take a deployment out of use as soon as the last run that is pinned to it has ended: it is retired then by itself.
#[utoipa::path(
    post, path = "/v1/apps/{app}/deployments/{deployment}/drain", tag = "apps", operation_id = "drainDeployment",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("deployment" = String, Path, description = "The deployment's id")
    ),
    responses((status = 200, description = "The deployment as it is now", body = DeploymentJson))
)]
async fn drain(
    State(doors): State<Doors>,
    Params((app, deployment)): Params<(String, String)>,
) -> Result<Json<DeploymentJson>, Problem> {
    let id: DeploymentId = body::id("deployment", &deployment)?;
    let deployment = doors.catalog.drain(&app, id).await?;
    Ok(Json(view(&doors, &deployment).await?))
}

/// Retire a deployment that no run is pinned to any more: nothing calls it from then on, and its host may switch it off.
#[utoipa::path(
    delete, path = "/v1/apps/{app}/deployments/{deployment}", tag = "apps", operation_id = "retireDeployment",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("deployment" = String, Path, description = "The deployment's id")
    ),
    responses((status = 200, description = "The deployment as it is now", body = DeploymentJson))
)]
async fn retire(
    State(doors): State<Doors>,
    Params((app, deployment)): Params<(String, String)>,
) -> Result<Json<DeploymentJson>, Problem> {
    let id: DeploymentId = body::id("deployment", &deployment)?;
    let deployment = doors.catalog.retire(&app, id).await?;
    Ok(Json(view(&doors, &deployment).await?))
}

/// Move every run that is pinned to a deployment and has not ended to another one, as a job, or only count them. Runs that
/// are held because of what the old deployment is go on.
#[utoipa::path(
    post, path = "/v1/apps/{app}/deployments/{deployment}/move", tag = "apps", operation_id = "moveDeployment",
    params(
        ("app" = String, Path, description = "The app's name"),
        ("deployment" = String, Path, description = "The deployment's id")
    ),
    request_body = MoveJson,
    responses(
        (status = 202, description = "The job is durable and begins", body = JobJson),
        (status = 200, description = "With `dryRun`: how many runs it would move", body = JobCountJson)
    )
)]
async fn relocate(
    State(doors): State<Doors>,
    Params((app, deployment)): Params<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Body,
) -> Result<Response, Problem> {
    let id: DeploymentId = body::id("deployment", &deployment)?;
    let received = body::receive(&headers, body, SMALL_BODY_BYTES_MAX, false).await?;
    let MoveJson { to, dry_run } = received.json()?;
    doors.catalog.registry().target(&app.as_str().into(), to)?;
    // A deployment that is not known any more may still have runs: they are what this is for.
    let filter = JobFilter { app: Some(app.into()), deployment: Some(id), ..JobFilter::default() };
    if dry_run {
        let total = jobs::count(&*doors.store, JobAction::Move, &filter).await?;
        return Ok(Json(JobCountJson { total }).into_response());
    }
    let options = JobOptions { to: Some(to), ..JobOptions::default() };
    let job = doors.jobs.create(NewJob { action: JobAction::Move, filter, options }).await?;
    Ok((StatusCode::ACCEPTED, Json(JobJson::from(&job))).into_response())
}
