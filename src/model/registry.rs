//! The registry: an immutable snapshot of all apps, deployments and functions. Configuration is an argument of every
//! decision, never state of the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    App, DeclaredSchedule, Deployment, DeploymentId, DeploymentState, FunctionConfig, FunctionId, MoveTo, Text, Trigger,
};

/// A snapshot of everything that is registered. Replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Apps by name.
    pub apps: BTreeMap<Text, App>,
    /// Deployments by id.
    pub deployments: BTreeMap<DeploymentId, Arc<Deployment>>,
    /// Where handlers reach this server.
    pub home: Home,
    triggers: BTreeMap<Text, Vec<(FunctionId, Trigger)>>,
}

/// Where handlers reach this server: addresses without a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// The address that its operator says everybody can use.
    pub public_url: Option<String>,
    /// Its address on this machine, for handlers that run beside it.
    pub local_url: Option<String>,
}

impl Home {
    /// The address for a deployment's handlers, if they can reach the server at all.
    pub fn url_for(&self, deployment: &Deployment) -> Option<&str> {
        if !deployment.manifest.limits.outbound {
            return None;
        }
        let local = || self.local_url.as_deref().filter(|_| deployment.is_local());
        self.public_url.as_deref().or_else(local)
    }
}

/// Why no run can be moved to a deployment. The sentences go on from *it cannot be moved:*.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// The app is not registered, or has no deployment yet.
    #[error("app `{0}` has no current deployment; register it, or name a deployment")]
    NoCurrent(Text),
    /// The app has no such deployment.
    #[error("app `{0}` has no deployment {1}; `backstitch apps deployments {0}` lists what there is")]
    Unknown(Text, DeploymentId),
    /// Its address serves newer code by now.
    #[error("{0} is not immutable, so its address serves newer code by now; move to `current`")]
    Replaced(DeploymentId),
    /// Somebody wants nobody on it.
    #[error("{0} is {word}; move to `current`, or to an active deployment", word = .1.as_str())]
    Closed(DeploymentId, DeploymentState),
    /// It has no such function.
    #[error("{0} does not have the function `{1}`")]
    NoFunction(DeploymentId, FunctionId),
}

impl Registry {
    /// Indexes apps and deployments. Deployments of unknown apps are kept: runs may be pinned to them.
    pub fn new(apps: Vec<App>, deployments: Vec<Deployment>) -> Registry {
        let apps = apps.into_iter().map(|app| (app.name.clone(), app)).collect();
        let deployments = deployments.into_iter().map(|d| (d.id, Arc::new(d))).collect();
        Registry::indexed(apps, deployments, Home::default())
    }

    /// The same registry, of a server that is reached there.
    #[must_use]
    pub fn at(self, home: Home) -> Registry {
        Registry { home, ..self }
    }

    /// The registry with this app, and with this deployment if there is one, in the place of what it had.
    #[must_use]
    pub fn with(&self, app: App, deployment: Option<Arc<Deployment>>) -> Registry {
        let (mut apps, mut deployments) = (self.apps.clone(), self.deployments.clone());
        apps.insert(app.name.clone(), app);
        deployments.extend(deployment.map(|deployment| (deployment.id, deployment)));
        Registry::indexed(apps, deployments, self.home.clone())
    }

    /// The registry with this deployment in the place of what it had.
    #[must_use]
    pub fn with_deployment(&self, deployment: Deployment) -> Registry {
        let mut deployments = self.deployments.clone();
        deployments.insert(deployment.id, Arc::new(deployment));
        Registry::indexed(self.apps.clone(), deployments, self.home.clone())
    }

    /// The registry without these deployments.
    #[must_use]
    pub fn without_deployments(&self, gone: &[DeploymentId]) -> Registry {
        let mut deployments = self.deployments.clone();
        deployments.retain(|id, _| !gone.contains(id));
        Registry::indexed(self.apps.clone(), deployments, self.home.clone())
    }

    /// The registry without this app. Its deployments stay.
    #[must_use]
    pub fn without(&self, app: &str) -> Registry {
        let mut apps = self.apps.clone();
        apps.remove(app);
        Registry::indexed(apps, self.deployments.clone(), self.home.clone())
    }

    fn indexed(
        apps: BTreeMap<Text, App>,
        deployments: BTreeMap<DeploymentId, Arc<Deployment>>,
        home: Home,
    ) -> Registry {
        let mut triggers: BTreeMap<Text, Vec<(FunctionId, Trigger)>> = BTreeMap::new();
        for app in apps.values() {
            let Some(deployment) = app.current.and_then(|id| deployments.get(&id)) else { continue };
            for function in &deployment.manifest.functions {
                for trigger in &function.triggers {
                    let id = FunctionId::new(app.name.clone(), function.id.clone());
                    triggers.entry(trigger.event.clone()).or_default().push((id, trigger.clone()));
                }
            }
        }
        Registry { apps, deployments, home, triggers }
    }

    /// The functions that an event of this name triggers, with the trigger that says so.
    pub fn triggered_by(&self, event: &str) -> &[(FunctionId, Trigger)] {
        self.triggers.get(event).map_or(&[], Vec::as_slice)
    }

    /// Whether a function is paused.
    pub fn is_paused(&self, id: &FunctionId) -> bool {
        self.apps.get(&id.app).is_some_and(|app| app.paused.contains(&id.function))
    }

    /// The function that is started when a run of this one fails.
    pub fn failure_handler(&self, id: &FunctionId) -> Option<FunctionId> {
        let functions = &self.current(&id.app)?.manifest.functions;
        let handler = functions.iter().find(|config| config.failure_of.as_ref() == Some(&id.function))?;
        Some(FunctionId::new(id.app.clone(), handler.id.clone()))
    }

    /// The schedules that an app declares, with the functions that they start.
    pub fn schedules(&self, app: &str) -> impl Iterator<Item = &DeclaredSchedule> {
        self.current(app)
            .into_iter()
            .flat_map(|current| &current.manifest.functions)
            .flat_map(|config| &config.schedules)
    }

    /// The deployment that unpinned runs of an app go to.
    pub fn current(&self, app: &str) -> Option<&Arc<Deployment>> {
        self.deployments.get(&self.apps.get(app)?.current?)
    }

    /// The newest configuration of a function.
    pub fn function(&self, id: &FunctionId) -> Option<&FunctionConfig> {
        self.current(&id.app)?.function(&id.function)
    }

    /// Where a run of a function is invoked: its pinned deployment if it has one, else the app's newest.
    pub fn deployment_of(&self, function: &FunctionId, pinned: Option<DeploymentId>) -> Option<&Arc<Deployment>> {
        match pinned {
            Some(id) => self.deployments.get(&id),
            None => self.current(&function.app),
        }
    }

    /// A deployment of this app.
    pub fn deployment(&self, app: &str, id: DeploymentId) -> Option<&Arc<Deployment>> {
        self.deployments.get(&id).filter(|deployment| *deployment.app == *app)
    }

    /// Whether a deployment is the newest of its app.
    pub fn is_current(&self, deployment: &Deployment) -> bool {
        self.apps.get(&deployment.app).is_some_and(|app| app.current == Some(deployment.id))
    }

    /// Where a run of this app can be moved to, and what it is pinned to there: nothing when it follows the app.
    ///
    /// # Errors
    /// When runs cannot be there.
    pub fn target(&self, app: &Text, to: MoveTo) -> Result<(&Arc<Deployment>, Option<DeploymentId>), NoTarget> {
        let found = match to {
            MoveTo::Current => self.current(app).ok_or_else(|| NoTarget::NoCurrent(app.clone()))?,
            MoveTo::Deployment(id) => self.deployment(app, id).ok_or_else(|| NoTarget::Unknown(app.clone(), id))?,
        };
        match found.state {
            _ if self.is_current(found) => Ok((found, found.manifest.immutable.then_some(found.id))),
            _ if !found.manifest.immutable => Err(NoTarget::Replaced(found.id)),
            DeploymentState::Active => Ok((found, Some(found.id))),
            state => Err(NoTarget::Closed(found.id, state)),
        }
    }

    /// All functions of all apps, as their newest deployments declare them.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, &FunctionConfig)> {
        self.apps.values().filter_map(|app| Some((app, self.current(&app.name)?))).flat_map(|(app, deployment)| {
            deployment
                .manifest
                .functions
                .iter()
                .map(|function| (FunctionId::new(app.name.clone(), function.id.clone()), function))
        })
    }
}

impl Deployment {
    /// Whether it runs on the machine of the server, by its address.
    pub fn is_local(&self) -> bool {
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let name = host.strip_prefix('[').map_or_else(
            || host.rsplit_once(':').map_or(host, |(name, _)| name),
            |inner| inner.split(']').next().unwrap_or_default(),
        );
        let in_127 = || name.starts_with("127.") && name.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
        name == "localhost" || name == "::1" || in_127()
    }

    /// A function of this deployment.
    pub fn function(&self, id: &str) -> Option<&FunctionConfig> {
        self.manifest.functions.iter().find(|function| &*function.id == id)
    }
}
