//! Deployments go: drained, retired, and at last forgotten. The catalog never takes one from a run: a run that is pinned to a
//! deployment goes on there as long as its row stays, and that stays as long as such a run does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CatalogError;
use super::keeper::Keeper;
use crate::limits::DEPLOYMENTS_KEPT_MAX;
use crate::model::{Deployment, DeploymentId, DeploymentState, RunStatus, Text};
use crate::store::{RunFilter, Store, StoreError};

/// How many runs that have not ended are pinned to a deployment.
pub async fn open_runs(store: &dyn Store, deployment: DeploymentId) -> Result<u64, StoreError> {
    let statuses = RunStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect();
    Ok(store.count_runs(RunFilter { deployment: Some(deployment), statuses, ..RunFilter::default() }).await?.total())
}

impl Keeper {
    /// Takes a deployment out of use as soon as no run is pinned to it any more.
    pub(super) async fn drain(&mut self, app: &Text, id: DeploymentId) -> Result<Arc<Deployment>, CatalogError> {
        let deployment = self.out_of_use(app, id)?;
        if deployment.state != DeploymentState::Active {
            return Ok(deployment);
        }
        let drained = open_runs(&*self.parts.store, id).await? == 0;
        self.put(&deployment, if drained { DeploymentState::Retired } else { DeploymentState::Draining }).await
    }

    /// Takes a deployment out of use.
    pub(super) async fn retire(&mut self, app: &Text, id: DeploymentId) -> Result<Arc<Deployment>, CatalogError> {
        let deployment = self.out_of_use(app, id)?;
        match open_runs(&*self.parts.store, id).await? {
            0 => self.put(&deployment, DeploymentState::Retired).await,
            runs => Err(CatalogError::DeploymentInUse { app: app.clone(), id, runs }),
        }
    }

    /// A deployment that no new run begins on.
    fn out_of_use(&self, app: &Text, id: DeploymentId) -> Result<Arc<Deployment>, CatalogError> {
        let registry = self.registry();
        match registry.deployment(app, id) {
            None => Err(CatalogError::UnknownDeployment(app.clone(), id)),
            Some(deployment) if registry.is_current(deployment) => {
                Err(CatalogError::CurrentDeployment(app.clone(), id))
            }
            Some(deployment) => Ok(deployment.clone()),
        }
    }

    async fn put(&mut self, deployment: &Deployment, state: DeploymentState) -> Result<Arc<Deployment>, CatalogError> {
        let deployment = Deployment { state, ..deployment.clone() };
        self.parts.store.put_deployment(deployment.clone()).await?;
        self.publish(self.registry().with_deployment(deployment.clone()));
        let (app, state) = (&*deployment.app, state.as_str());
        tracing::info!(app, deployment = %deployment.id, state, "a deployment goes out of use");
        Ok(Arc::new(deployment))
    }

    /// Retires what is drained, and forgets what nothing needs. What goes wrong is tried again at the next tick.
    pub(super) async fn tidy(&mut self) {
        if let Err(error) = self.retire_drained().await {
            tracing::warn!(%error, "drained deployments cannot be retired; it is tried again");
        }
        if let Err(error) = self.prune().await {
            tracing::warn!(%error, "old deployments cannot be forgotten; it is tried again");
        }
    }

    async fn retire_drained(&mut self) -> Result<(), CatalogError> {
        let registry = self.registry();
        for deployment in registry.deployments.values().filter(|it| it.state == DeploymentState::Draining) {
            if open_runs(&*self.parts.store, deployment.id).await? == 0 {
                self.put(deployment, DeploymentState::Retired).await?;
            }
        }
        Ok(())
    }

    async fn prune(&mut self) -> Result<(), CatalogError> {
        let registry = self.registry();
        let mut counts: BTreeMap<&Text, usize> = BTreeMap::new();
        registry.deployments.values().for_each(|deployment| *counts.entry(&deployment.app).or_default() += 1);
        if counts.values().all(|count| *count <= DEPLOYMENTS_KEPT_MAX) {
            return Ok(());
        }
        let gone = self.parts.store.prune_deployments(DEPLOYMENTS_KEPT_MAX).await?;
        if !gone.is_empty() {
            tracing::debug!(deployments = gone.len(), "old deployments were forgotten");
            self.publish(registry.without_deployments(&gone));
        }
        Ok(())
    }
}
