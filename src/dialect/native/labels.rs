//! Tags and attributes in an op: all of a run's, or those of a child, with their bounds.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::reader::{FieldProblem, read};
use crate::model::{AttributeValue, LabelProblem, Labels, Note, Text, checked_attributes, checked_tags};

impl From<LabelProblem> for FieldProblem {
    fn from(problem: LabelProblem) -> FieldProblem {
        let path = match problem.part {
            Some(part) => format!("{}.{part}", problem.field),
            None => problem.field.to_owned(),
        };
        FieldProblem::new(path, problem.problem)
    }
}

/// What a run is to be found by from now on: all of its tags, or all of its attributes, or both.
pub(super) fn note(tags: Option<&RawValue>, attributes: Option<&RawValue>) -> Result<Note, FieldProblem> {
    if tags.is_none() && attributes.is_none() {
        return Err(FieldProblem::new("", "at least one of `tags` and `attributes` must be there"));
    }
    Ok(Note::Labels {
        tags: tags.map(|raw| checked_tags(list(raw)?).map_err(FieldProblem::from)).transpose()?,
        attributes: attributes.map(|raw| checked_attributes(map(raw)?).map_err(FieldProblem::from)).transpose()?,
    })
}

/// What a child is to be found by.
pub(super) fn of_child(tags: Option<&RawValue>, attributes: Option<&RawValue>) -> Result<Labels, FieldProblem> {
    let tags = tags.map(list).transpose()?.unwrap_or_default();
    let attributes = attributes.map(map).transpose()?.unwrap_or_default();
    Ok(Labels::checked(tags, attributes)?)
}

fn list(raw: &RawValue) -> Result<Vec<Text>, FieldProblem> {
    read(raw.get().as_bytes()).map_err(|problem| problem.within("tags"))
}

fn map(raw: &RawValue) -> Result<BTreeMap<Text, AttributeValue>, FieldProblem> {
    read(raw.get().as_bytes()).map_err(|problem| problem.within("attributes"))
}
