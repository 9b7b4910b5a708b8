//! Tags and attributes on the command line: what a run is to be found by, and what is looked for.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::exit::usage;
use crate::model::{AttributeTest, AttributeValue};

/// What a run is to be found by.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Labels {
    /// A tag that the run is found by. May be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// An attribute that the run is found by, NAME=VALUE: a number, true, false, or a text ("42" in quotes is one). May be given several times.
    #[arg(long = "attr", value_name = "NAME=VALUE")]
    attributes: Vec<String>,
}

/// The same in the body of a start.
#[derive(Debug, Serialize)]
pub(super) struct LabelsBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, AttributeValue>,
}

impl Labels {
    /// Reads them.
    pub(super) fn body(self) -> Result<LabelsBody> {
        let read = |written: &String| match written.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value_of(value))),
            None => Err(usage(format!("--attr {written}: write NAME=VALUE"))),
        };
        Ok(LabelsBody { attributes: self.attributes.iter().map(read).collect::<Result<_>>()?, tags: self.tags })
    }
}

/// A value as it was typed: what is no number, boolean or text in quotes is a text.
fn value_of(written: &str) -> AttributeValue {
    serde_json::from_str(written).unwrap_or_else(|_| AttributeValue::Text(written.into()))
}

/// A test of an attribute as the API takes it, from `NAME`, `NAME=VALUE`, `NAME>=VALUE` and so on, or `NAME^=PREFIX`.
pub(super) fn test(written: &str) -> Result<String> {
    const OPERATORS: [(&str, &str); 6] =
        [(">=", "gte"), ("<=", "lte"), ("^=", "prefix"), ("=", "eq"), (">", "gt"), ("<", "lt")];
    let at = written.find(['=', '<', '>', '^']).unwrap_or(written.len());
    let (name, rest) = written.split_at(at);
    let found = OPERATORS.iter().find_map(|(sign, word)| Some((word, rest.strip_prefix(sign)?)));
    let test = match found {
        Some((word, value)) => format!("{name}:{word}:{value}"),
        None => format!("{written}:exists"),
    };
    match test.parse::<AttributeTest>() {
        Ok(_) => Ok(test),
        Err(_) => Err(usage(format!(
            "--attr {written}: write NAME, or NAME and one of = > >= < <= ^= (begins with) and a value"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_written_with_signs() {
        for (written, read) in [
            ("total>=100", "total:gte:100"),
            ("total<1", "total:lt:1"),
            ("plan=pro=max", "plan:eq:pro=max"),
            ("id=\"42\"", "id:eq:\"42\""),
            ("name^=ab", "name:prefix:ab"),
            ("vip", "vip:exists"),
        ] {
            assert_eq!(test(written).unwrap(), read);
        }
        for wrong in ["", "a b=1", "a^1", "vip>true", "=1"] {
            assert!(test(wrong).unwrap_err().to_string().contains("--attr"), "{wrong}");
        }
    }

    #[test]
    fn values_are_what_they_look_like() {
        let written = ["n=4", "t=\"4\"", "b=true", "x=a=b", "y=[1]"].map(str::to_owned).to_vec();
        let body = Labels { tags: vec!["eu".to_owned()], attributes: written }.body().unwrap();
        let json = serde_json::to_value(body).unwrap();
        let expected =
            serde_json::json!({"tags": ["eu"], "attributes": {"n": 4, "t": "4", "b": true, "x": "a=b", "y": "[1]"}});
        assert_eq!(json, expected);
    }
}
