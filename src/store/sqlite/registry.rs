//! What is written by hand and seldom: the ownership, apps, deployments, and the database's secret. Each function runs
//! inside a transaction of the writer.

use rusqlite::{Connection, params};

use super::error::sorted;
use super::rows::{Columns, Read, all, first};
use super::sql;
use crate::limits::JOBS_KEPT_MAX;
use crate::model::{App, Deployment, DeploymentId, Job, Payload};
use crate::store::{Ownership, RegistryRows, StoreError, text};

fn execute(connection: &Connection, statement: &str, row: &[&dyn rusqlite::ToSql]) -> Result<usize, StoreError> {
    connection.prepare_cached(statement).and_then(|mut it| it.execute(row)).map_err(sorted)
}

/// One more epoch.
pub(super) fn take_ownership(connection: &Connection, partition: u16) -> Result<Ownership, StoreError> {
    let missing =
        || StoreError::Data(format!("partition {partition} does not exist: this database has one partition, 0"));
    let epoch = first(connection, sql::OWNERSHIP_TAKE, [partition], |row| row.next())?.ok_or_else(missing)?;
    let progress = first(connection, sql::PARTITION_PROGRESS, [partition], |row| {
        Ok(Ownership {
            epoch,
            commit_no: row.next()?,
            now: row.next()?,
            run_no: row.next()?,
            event_seq: row.next()?,
            message_no: row.next()?,
        })
    })?;
    progress.ok_or_else(missing)
}

/// The secret, made now if there is none.
pub(super) fn secret(connection: &Connection, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
    execute(connection, sql::SETTING_PUT_ONCE, params!["secret", &fresh[..]])?;
    let stored = first(connection, sql::SETTING, ["secret"], |row| row.next::<Payload>())?;
    stored
        .and_then(|secret| <[u8; 32]>::try_from(&**secret.bytes()).ok())
        .ok_or_else(|| StoreError::Corrupt("the setting `secret` is not 32 bytes".to_owned()))
}

/// Writes an app and the deployment that its sync found.
pub(super) fn put_app(connection: &Connection, app: &App, deployment: Option<&Deployment>) -> Result<(), StoreError> {
    if let Some(deployment) = deployment {
        put_deployment(connection, deployment)?;
    }
    let row = params![
        text::name(&app.name)?,
        text::prose(&app.url),
        json(&app.headers)?,
        app.current.map(|id| id.to_string()),
        app.created_at.0,
        app.synced_at.map(|at| at.0),
        app.sync_error.as_deref().map(text::prose),
        (!app.paused.is_empty()).then(|| json(&app.paused)).transpose()?
    ];
    execute(connection, sql::APP_PUT, row).map(drop)
}

/// Writes a deployment.
pub(super) fn put_deployment(connection: &Connection, deployment: &Deployment) -> Result<(), StoreError> {
    let Deployment { id, app, manifest, url, created_at, seen_at, state } = deployment;
    let (id, app, url, manifest) = (id.to_string(), text::name(app)?, text::prose(url), json(manifest)?);
    let row = params![id, app, url, manifest, created_at.0, seen_at.0, state.as_str()];
    execute(connection, sql::DEPLOYMENT_PUT, row).map(drop)
}

/// Forgets deployments that nothing needs.
pub(super) fn prune_deployments(connection: &Connection, keep: usize) -> Result<Vec<DeploymentId>, StoreError> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let mut gone: Vec<DeploymentId> = all(connection, sql::DEPLOYMENTS_PRUNE, [keep], |row| row.next())?;
    gone.sort_unstable();
    Ok(gone)
}

/// Removes an app.
pub(super) fn delete_app(connection: &Connection, app: &str) -> Result<bool, StoreError> {
    Ok(execute(connection, sql::APP_DELETE, params![app])? > 0)
}

/// Every app and every deployment.
pub(super) fn registry(connection: &Connection) -> Read<RegistryRows> {
    Ok((all(connection, sql::APPS, [], app)?, all(connection, sql::DEPLOYMENTS, [], deployment)?))
}

/// Writes a job, and forgets the oldest that ended.
pub(super) fn put_job(connection: &Connection, job: &Job) -> Result<(), StoreError> {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let row = params![
        job.id.to_string(),
        job.action.as_str(),
        json(&job.filter)?,
        json(&job.options)?,
        job.status.as_str(),
        count(job.total),
        count(job.done),
        count(job.failed),
        job.last_error.as_deref().map(text::prose),
        job.position,
        job.created_at.0,
        job.ended_at.map(|at| at.0)
    ];
    execute(connection, sql::JOB_PUT, row)?;
    execute(connection, sql::JOBS_FORGET, params![JOBS_KEPT_MAX as i64]).map(drop)
}

/// Every job, newest first.
pub(super) fn jobs(connection: &Connection) -> Read<Vec<Job>> {
    all(connection, sql::JOBS, [], job)
}

fn job(row: &mut Columns<'_>) -> Read<Job> {
    Ok(Job {
        id: row.next()?,
        action: row.next()?,
        filter: row.json()?.unwrap_or_default(),
        options: row.json()?.unwrap_or_default(),
        status: row.next()?,
        total: row.next()?,
        done: row.next()?,
        failed: row.next()?,
        last_error: row.next()?,
        position: row.next()?,
        created_at: row.next()?,
        ended_at: row.next()?,
    })
}

fn app(row: &mut Columns<'_>) -> Read<App> {
    Ok(App {
        name: row.next()?,
        url: row.next()?,
        headers: row.json()?.unwrap_or_default(),
        current: row.next()?,
        created_at: row.next()?,
        synced_at: row.next()?,
        sync_error: row.next()?,
        paused: row.json()?.unwrap_or_default(),
    })
}

fn deployment(row: &mut Columns<'_>) -> Read<Deployment> {
    let (id, app, url) = (row.next()?, row.next()?, row.next()?);
    let manifest = row.json()?.ok_or_else(|| StoreError::Corrupt(format!("the deployment {id} has no manifest")))?;
    Ok(Deployment { id, app, manifest, url, created_at: row.next()?, seen_at: row.next()?, state: row.next()? })
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Data(error.to_string()))
}
