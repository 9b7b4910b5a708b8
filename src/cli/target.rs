//! What people point at: functions as `app/function`, runs by id or by the name that their client chose.

use anyhow::Result;

use super::client::Client;
use super::exit::usage;
use crate::api::view::{FunctionJson, PageJson, RunJson};
use crate::model::{FunctionId, RunId};

/// Finds a function: `app/function`, or `function` alone where only one app has it.
pub(super) async fn function(client: &Client, text: &str) -> Result<FunctionId> {
    if let Some((app, function)) =
        text.split_once('/').filter(|(app, function)| !app.is_empty() && !function.is_empty())
    {
        return Ok(FunctionId::new(app, function));
    }
    let all: PageJson<FunctionJson> = client.read(&["v1", "functions"], &[]).await?;
    let named: Vec<FunctionId> = all
        .items
        .iter()
        .filter(|item| &*item.function == text)
        .map(|item| FunctionId::new(item.app.clone(), item.function.clone()))
        .collect();
    match named.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(usage(format!("there is no function `{text}`: write app/function; `backstitch apps` lists them"))),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(usage(format!("several apps have a function `{text}`: write one of {}", names.join(", "))))
        }
    }
}

/// Finds a run: `run_…`, or `app/function/name` by the name that its client chose.
pub(super) async fn run(client: &Client, text: &str) -> Result<RunId> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match text.splitn(3, '/').collect::<Vec<_>>().as_slice() {
        [app, function, name] if !text.starts_with("run_") => {
            let run: RunJson = client.read(&["v1", "functions", app, function, "runs", name], &[]).await?;
            Ok(run.id)
        }
        _ => Err(usage(format!(
            "`{text}` is no run: write its id (run_…) or app/function/name; `backstitch runs` lists runs"
        ))),
    }
}
