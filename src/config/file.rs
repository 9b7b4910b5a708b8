//! The file: TOML, flattened to keys with dots. It may hold settings and nothing else, so that a mistyped key is noticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;
use super::settings::{self, Setting};
use crate::limits::CONFIG_BYTES_MAX;

/// The file that is read when no other is named.
pub(super) const NAME: &str = "backstitch.toml";

/// Reads a file into texts by key.
pub(super) fn read(path: &Path) -> Result<(PathBuf, BTreeMap<&'static str, String>), ConfigError> {
    let failed = |error| ConfigError::File { path: path.to_owned(), error };
    let malformed = |reason: String| ConfigError::Toml { path: path.to_owned(), reason };
    if std::fs::metadata(path).map_err(failed)?.len() > CONFIG_BYTES_MAX {
        return Err(malformed(format!("it has more than {CONFIG_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| malformed(error.to_string().trim().to_owned()))?;
    let mut flat = Vec::new();
    flatten("", &table, &mut flat);
    let mut keys = BTreeMap::new();
    for (key, value) in flat {
        let Some(setting) = settings::all().find(|setting| setting.in_file() && setting.key == key) else {
            return Err(ConfigError::UnknownKey { path: path.to_owned(), hint: hint(&key), key });
        };
        keys.insert(setting.key, text_of(setting, value).map_err(malformed)?);
    }
    Ok((path.to_owned(), keys))
}

fn flatten<'a>(section: &str, table: &'a Table, into: &mut Vec<(String, &'a Value)>) {
    for (key, value) in table {
        let key = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            value => into.push((key, value)),
        }
    }
}

fn text_of(setting: &Setting, value: &Value) -> Result<String, String> {
    match (value, setting.value) {
        (Value::String(text), Some(_)) => Ok(text.clone()),
        (Value::Boolean(on), None) => Ok(on.to_string()),
        (value, Some(_)) => Err(format!("`{}` has to be a string in quotes, and is {}", setting.key, value.type_str())),
        (value, None) => Err(format!("`{}` has to be true or false, and is {}", setting.key, value.type_str())),
    }
}

/// Which setting may have been meant: one with the same letters or the same last part.
fn hint(key: &str) -> String {
    let plain = |text: &str| text.replace(['-', '_', '.'], "").to_lowercase();
    let last = |text: &str| text.rsplit('.').next().map(plain);
    let candidates: Vec<&Setting> = settings::all().filter(|setting| setting.in_file()).collect();
    let same = candidates.iter().find(|setting| plain(setting.key) == plain(key));
    let similar =
        candidates.iter().find(|setting| last(setting.key) == last(key) || plain(setting.key).starts_with(&plain(key)));
    match same.or(similar) {
        Some(setting) => format!("; `{}` may be meant", setting.key),
        None => "; docs/reference/config.md lists what there is".to_owned(),
    }
}
