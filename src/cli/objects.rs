//! `backstitch objects`: the keys of an object, or the state under one of them.

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::exit::usage;
use super::style::{BOLD, DIM, styled};
use super::table::{print, table};
use super::{Exit, screen};
use crate::api::view::PageJson;
use crate::api::{ObjectKeyJson, ObjectStateJson};
use crate::config::ClientFlags;
use crate::limits::PAGE_DEFAULT;

/// List the keys of an object, or show the state under one.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch objects shop/cart user-17")]
pub(super) struct Objects {
    /// The object, as app/object.
    object: String,
    /// The key whose state is shown; all keys that have state or are held if left out.
    key: Option<String>,
    /// How many keys, at most 200.
    #[arg(long, value_name = "N", default_value_t = PAGE_DEFAULT, conflicts_with = "key")]
    limit: usize,
    /// Where the page begins: as the page before says.
    #[arg(long, value_name = "CURSOR", conflicts_with = "key")]
    cursor: Option<String>,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Objects {
    pub(super) async fn execute(self) -> Result<Exit> {
        let Some((app, object)) = self.object.split_once('/').filter(|(app, id)| !app.is_empty() && !id.is_empty())
        else {
            return Err(usage(format!("`{}` is no object; write app/object", self.object)));
        };
        let client = Client::new(self.flags)?;
        if let Some(key) = &self.key {
            let state: ObjectStateJson = client.read(&["v1", "objects", app, object, key, "state"], &[]).await?;
            return show(&state, self.json);
        }
        let mut query = vec![("limit", self.limit.to_string())];
        query.extend(self.cursor.map(|cursor| ("cursor", cursor)));
        let page: PageJson<ObjectKeyJson> = client.read(&["v1", "objects", app, object], &query).await?;
        if self.json {
            screen::json(&page)?;
            return Ok(Exit::Done);
        }
        let mut rows = table(&["key", "held by", "waiting"]);
        for item in &page.items {
            let holder = item.holder.map_or_else(String::new, |run| run.to_string());
            rows.add_row(vec![styled(BOLD, screen::plain(&item.key, 120)), holder, item.waiting.to_string()]);
        }
        if page.items.is_empty() {
            screen::note("No key has state, and none is held.");
        } else {
            print(&rows)?;
        }
        if let Some(next) = &page.next {
            screen::note(format!("There are more: --cursor {next}"));
        }
        Ok(Exit::Done)
    }
}

fn show(state: &ObjectStateJson, json: bool) -> Result<Exit> {
    if json {
        screen::json(state)?;
        return Ok(Exit::Done);
    }
    for (name, value) in &state.state {
        let value = String::from_utf8_lossy(value.bytes()).into_owned();
        screen::line(format!("{}  {}", styled(BOLD, screen::plain(name, 120)), screen::plain(&value, 2_000)))?;
    }
    if state.state.is_empty() {
        screen::note("There is no state under this key.");
    }
    if let Some(holder) = state.holder {
        screen::line(styled(DIM, format!("held by {holder}, {} waiting", state.waiting)))?;
    }
    Ok(Exit::Done)
}
