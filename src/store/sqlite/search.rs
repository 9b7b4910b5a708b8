//! Runs that match a filter. One index leads to candidates, newest first: of those that the filter could use, the one with
//! the fewest. Everything else is asked of each candidate, in one statement that is the same for all. Where many candidates may
//! not match, and where no index leads, a page looks at a bounded number of runs and says how far it came.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params_from_iter};

use super::error::sorted;
use super::load::count;
use super::rows::{self, Read, all, first};
use super::sql::{self, Source};
use crate::limits::{FAILURES_COMPARED_MAX, RUNS_PROBED_MAX, RUNS_SCANNED_MAX};
use crate::model::{
    AttributeTest, AttributeValue, Bound, Failure, Payload, RunHead, RunId, RunStatus, Text, Timestamp, Wanted,
};
use crate::store::{RunCounts, RunFilter, RunsPage, StoreError};

/// Runs that match, newest first.
pub(super) fn runs(connection: &Connection, filter: &RunFilter) -> Read<RunsPage> {
    let mut search = Search::new(connection, filter)?;
    let way = search.way(true)?;
    let looked_to = if way.is_scan { search.narrow()? } else { search.narrow_to(&way)? };
    let mut found: Vec<i64> = Vec::new();
    for candidates in &way.sources {
        found.extend(search.page(candidates)?);
    }
    // Sources of one way have no run in common.
    found.sort_unstable_by_key(|run_no| std::cmp::Reverse(*run_no));
    found.truncate(filter.limit);
    let looked_to = looked_to.filter(|_| found.len() < filter.limit);
    let head = |run_no: &i64| -> Read<RunHead> {
        let head = first(connection, sql::RUN_BY_NUMBER, [run_no], rows::run)?;
        head.ok_or_else(|| StoreError::Corrupt(format!("an index leads to run number {run_no}, which does not exist")))
    };
    Ok(RunsPage { runs: found.iter().map(head).collect::<Read<_>>()?, looked_to })
}

/// What runs failed with, or are tried again for.
pub(super) fn failures(connection: &Connection, runs: &[i64]) -> Read<Vec<Option<Failure>>> {
    let brief = |run_no: &i64| Ok(failure(connection, *run_no)?.1.map(|failure| failure.brief()));
    runs.iter().map(brief).collect()
}

/// Where a run stands, and what went wrong with it.
fn failure(connection: &Connection, run_no: i64) -> Read<(Option<RunStatus>, Option<Failure>)> {
    let read = |row: &mut rows::Columns<'_>| Ok((row.next::<RunStatus>()?, row.next::<Option<Payload>>()?));
    let found = first(connection, sql::RUN_FAILURE, [run_no], read)?;
    Ok(found.map_or((None, None), |(status, error)| (Some(status), error.as_ref().map(Failure::from_payload))))
}

/// How many runs match, by status.
pub(super) fn count_runs(connection: &Connection, filter: &RunFilter) -> Read<RunCounts> {
    let search = Search::new(connection, filter)?;
    let mut counts = RunCounts::default();
    if search.is_plain() {
        // An index on nothing but the status knows it all.
        for status in statuses(filter) {
            let row = rusqlite::params![search.before, search.from, status.as_str()];
            let counted = first(connection, sql::RUNS_COUNT_OF_STATUS, row, |row| row.next::<u64>())?;
            counts.add(status, counted.unwrap_or(0));
        }
        return Ok(counts);
    }
    for candidates in &search.way(false)?.sources {
        if !filter.failure.is_empty() {
            search.compare(candidates, |_, status| {
                counts.add(status, 1);
                true
            })?;
            continue;
        }
        let read = |row: &mut rows::Columns<'_>| {
            RunStatus::ALL.into_iter().map(|status| Ok((status, row.next::<u64>()?))).collect::<Read<Vec<_>>>()
        };
        let row = params_from_iter(search.row(candidates, 0));
        let counted = first(connection, candidates.source.counts, row, read)?;
        counted.into_iter().flatten().for_each(|(status, count)| counts.add(status, count));
    }
    Ok(counts)
}

/// A way to all runs that could match.
struct Way {
    /// Candidates; no run is in two of these.
    sources: Vec<Candidates>,
    /// Whether it goes through all runs.
    is_scan: bool,
}

/// Candidates from one stretch of an index.
struct Candidates {
    source: &'static Source,
    /// What its statement is given from `?21` on.
    given: Vec<Value>,
    /// Whether they come by run number. Others have to be sorted.
    in_order: bool,
}

impl Candidates {
    fn of(source: &'static Source, given: impl Into<Vec<Value>>) -> Candidates {
        Candidates { source, given: given.into(), in_order: true }
    }
}

struct Search<'a> {
    connection: &'a Connection,
    filter: &'a RunFilter,
    before: i64,
    from: i64,
    /// `?4` to `?20`.
    conditions: Vec<Value>,
}

impl<'a> Search<'a> {
    fn new(connection: &'a Connection, filter: &'a RunFilter) -> Read<Search<'a>> {
        let bound = |time: Option<Timestamp>| time.map(|time| first_run_at(connection, time)).transpose();
        let from = bound(filter.since)?.unwrap_or(i64::MIN);
        let before = bound(filter.until)?.unwrap_or(i64::MAX).min(filter.before_run_no.unwrap_or(i64::MAX));
        let text = filter.text.as_deref().map(str::to_ascii_lowercase);
        // Runs that ended well have no failure: a look at the others is enough.
        let wanted = if filter.failure.is_empty() { filter.statuses.clone() } else { statuses(filter) };
        let words: Vec<&str> = wanted.iter().map(|status| status.as_str()).collect();
        let conditions = vec![
            texts(filter.app.as_ref()),
            texts(filter.function.as_ref()),
            json_unless_empty(&words)?,
            printed(filter.deployment),
            printed(filter.previous),
            printed(filter.parent),
            printed(filter.root),
            printed(filter.event),
            filter.trigger.map_or(Value::Null, |trigger| Value::Text(trigger.as_str().to_owned())),
            texts(filter.key.as_ref()),
            texts(filter.name_prefix.as_ref()),
            filter.name_prefix.as_ref().map_or(Value::Null, |prefix| Value::Text(format!("{prefix}{}", char::MAX))),
            json_unless_empty(&filter.tags)?,
            json_unless_empty(&filter.attributes.iter().map(test).collect::<Vec<_>>())?,
            text.clone().map_or(Value::Null, Value::Text),
            text.map(|text| json(&text).map(|text| text[1..text.len() - 1].to_owned()))
                .transpose()?
                .map_or(Value::Null, Value::Text),
            printed(filter.schedule.as_ref()),
        ];
        Ok(Search { connection, filter, before, from, conditions })
    }

    /// Whether nothing is asked but the status and the time.
    fn is_plain(&self) -> bool {
        self.filter.failure.is_empty()
            && self.conditions.iter().enumerate().all(|(at, value)| at == 2 || *value == Value::Null)
    }

    /// What a statement is given; not all of them have a limit.
    fn row(&self, candidates: &Candidates, limit: usize) -> Vec<Value> {
        let mut row = vec![Value::Integer(self.before), Value::Integer(self.from), Value::Integer(count(limit))];
        row.extend(self.conditions.iter().cloned());
        row.extend(candidates.given.iter().cloned());
        row
    }
}

impl Search<'_> {
    /// The newest of some candidates that match.
    fn page(&self, candidates: &Candidates) -> Read<Vec<i64>> {
        if self.filter.failure.is_empty() {
            let row = params_from_iter(self.row(candidates, self.filter.limit));
            return all(self.connection, candidates.source.page, row, |row| row.next::<i64>());
        }
        let mut found = Vec::new();
        self.compare(candidates, |run_no, _| {
            found.push(run_no);
            found.len() < self.filter.limit
        })?;
        Ok(found)
    }

    /// Goes through candidates that match in all else, and gives those whose failure does, the newest first, until it is enough.
    fn compare(&self, candidates: &Candidates, mut each: impl FnMut(i64, RunStatus) -> bool) -> Read<()> {
        let mut statement = self.connection.prepare_cached(candidates.source.page).map_err(sorted)?;
        let row = params_from_iter(self.row(candidates, usize::MAX));
        let mut numbers = statement.query(row).map_err(sorted)?;
        while let Some(row) = numbers.next().map_err(sorted)? {
            let run_no = row.get::<_, i64>(0).map_err(sorted)?;
            if let (Some(status), Some(failure)) = failure(self.connection, run_no)?
                && self.filter.failure.matches(&failure)
                && !each(run_no, status)
            {
                break;
            }
        }
        Ok(())
    }

    /// The way with the fewest candidates. Candidates out of order must be few where a page is wanted: all of them are
    /// looked at for it.
    fn way(&self, ordered: bool) -> Read<Way> {
        let mut ways = self.ways()?;
        if ways.len() == 1 && (!ordered || ways[0].iter().all(|candidates| candidates.in_order)) {
            return Ok(Way { sources: ways.remove(0), is_scan: false });
        }
        let mut best: Option<(u64, Vec<Candidates>)> = None;
        for sources in ways {
            let probed = sources.iter().map(|candidates| self.probe(candidates)).sum::<Read<u64>>()?;
            let is_large = probed >= count(RUNS_PROBED_MAX).unsigned_abs();
            if ordered && is_large && sources.iter().any(|candidates| !candidates.in_order) {
                continue;
            }
            if best.as_ref().is_none_or(|(least, _)| probed < *least) {
                best = Some((probed, sources));
            }
        }
        Ok(match best {
            Some((_, sources)) => Way { sources, is_scan: false },
            None => Way { sources: vec![Candidates::of(&sql::FROM_ALL, [])], is_scan: true },
        })
    }

    /// Every way that an index offers.
    fn ways(&self) -> Read<Vec<Vec<Candidates>>> {
        let filter = self.filter;
        let mut ways = Vec::new();
        let mut way = |wanted: bool, source| {
            if wanted {
                ways.push(vec![Candidates::of(source, [])]);
            }
        };
        way(filter.previous.is_some(), &sql::FROM_PREVIOUS);
        way(filter.parent.is_some(), &sql::FROM_PARENT);
        way(filter.event.is_some(), &sql::FROM_EVENT);
        way(filter.key.is_some(), &sql::FROM_KEY);
        way(filter.schedule.is_some(), &sql::FROM_SCHEDULE);
        way(filter.app.is_some() && filter.function.is_some(), &sql::FROM_FUNCTION);
        let id = |id: RunId| Candidates::of(&sql::FROM_ID, [Value::Text(id.to_string())]);
        if let Some(root) = filter.root {
            ways.push(vec![id(root), Candidates::of(&sql::FROM_ROOT, [])]);
        }
        if let Some(run) = filter.text.as_deref().and_then(|text| text.parse::<RunId>().ok()) {
            ways.push(vec![id(run)]);
        }
        let of_status = |source, status: RunStatus| Candidates::of(source, [Value::Text(status.as_str().to_owned())]);
        if filter.deployment.is_some() {
            ways.push(statuses(filter).into_iter().map(|status| of_status(&sql::FROM_DEPLOYMENT, status)).collect());
        } else if !filter.statuses.is_empty() || !filter.failure.is_empty() {
            ways.push(statuses(filter).into_iter().map(|status| of_status(&sql::FROM_STATUS, status)).collect());
        }
        for tag in &filter.tags {
            ways.push(vec![Candidates::of(&sql::FROM_TAG, [Value::Text(tag.to_string())])]);
        }
        for test in &filter.attributes {
            ways.extend(of_attribute(test)?);
        }
        if filter.name_prefix.is_some() {
            ways.push(vec![Candidates { in_order: false, ..Candidates::of(&sql::FROM_NAME, []) }]);
        }
        Ok(ways)
    }

    /// How many candidates there are, as far as it is worth counting.
    fn probe(&self, candidates: &Candidates) -> Read<u64> {
        let mut statement = self.connection.prepare_cached(candidates.source.probe).map_err(sorted)?;
        let row = self.row(candidates, RUNS_PROBED_MAX).into_iter().take(statement.parameter_count());
        let counted = statement.query_row(params_from_iter(row), |row| row.get::<_, i64>(0)).map_err(sorted)?;
        Ok(counted.unsigned_abs())
    }

    /// Looks at the newest candidates only, where there are many that may not match, and says at which number it ends.
    fn narrow_to(&mut self, way: &Way) -> Read<Option<i64>> {
        if self.is_answered_by_an_index() {
            return Ok(None);
        }
        let mut end = None;
        // Those that are out of order are few.
        for candidates in way.sources.iter().filter(|candidates| candidates.in_order) {
            let mut statement = self.connection.prepare_cached(candidates.source.edge).map_err(sorted)?;
            let looked_at = if self.filter.failure.is_empty() { RUNS_SCANNED_MAX } else { FAILURES_COMPARED_MAX };
            let offset = usize::try_from(looked_at).unwrap_or(usize::MAX);
            let row = self.row(candidates, offset).into_iter().take(statement.parameter_count());
            let edge = statement.query_row(params_from_iter(row), |row| row.get::<_, i64>(0)).optional();
            end = end.max(edge.map_err(sorted)?);
        }
        // Every run from the edge on is looked at, the one at the edge by the next page.
        let end = end.map(|edge| edge + 1);
        self.from = end.unwrap_or(self.from);
        Ok(end)
    }

    /// Whether one index leads to nothing but runs that match.
    fn is_answered_by_an_index(&self) -> bool {
        if !self.filter.failure.is_empty() {
            return false;
        }
        let asked = self.conditions.iter().filter(|value| **value != Value::Null).count();
        let by_function = self.filter.app.is_some() && self.filter.function.is_some();
        let labels = self.filter.tags.len() + self.filter.attributes.len();
        labels <= 1 && (asked == 1 && self.filter.app.is_none() || asked == 2 && by_function)
    }

    /// Looks at the newest runs only, and says at which number it ends, if there are more.
    fn narrow(&mut self) -> Read<Option<i64>> {
        if self.conditions.iter().all(|value| *value == Value::Null) {
            return Ok(None);
        }
        let greatest = first(self.connection, sql::RUN_GREATEST, [], |row| row.next::<Option<i64>>())?.flatten();
        let end = self.before.min(greatest.unwrap_or(0).saturating_add(1)).saturating_sub(RUNS_SCANNED_MAX);
        if end <= self.from.max(1) {
            return Ok(None);
        }
        self.from = end;
        Ok(Some(end))
    }
}

/// The ways that a test of an attribute offers.
fn of_attribute(test: &AttributeTest) -> Read<Option<Vec<Candidates>>> {
    let name = Value::Text(test.name.to_string());
    let kind = |value: &AttributeValue| Value::Text(value.kind().to_owned());
    Ok(match &test.wanted {
        Wanted::Any => None,
        Wanted::OneOf(values) => {
            let of = |value: &AttributeValue| -> Read<Candidates> {
                Ok(Candidates::of(&sql::FROM_ATTRIBUTE, [name.clone(), kind(value), Value::Text(json(value)?)]))
            };
            Some(values.iter().map(of).collect::<Read<_>>()?)
        }
        Wanted::Between(low, high) => {
            let Some(some) = low.value.as_ref().or(high.value.as_ref()) else { return Ok(None) };
            let end = |bound: &Bound| -> Read<Value> {
                bound.value.as_ref().map_or(Ok(Value::Null), |value| json(value).map(Value::Text))
            };
            let given = [name, kind(some), end(low)?, end(high)?];
            Some(vec![Candidates { in_order: false, ..Candidates::of(&sql::FROM_RANGE, given) }])
        }
    })
}

/// A test as the statement reads it: `{"path", "ranges": [{"kind"?, "low"?, "lowInside", "high"?, "highInside"}]}`.
fn test(test: &AttributeTest) -> serde_json::Value {
    let range = |low: &Bound, high: &Bound| {
        let some = low.value.as_ref().or(high.value.as_ref());
        serde_json::json!({
            "kind": some.map(AttributeValue::kind),
            "low": low.value, "lowInside": low.inside,
            "high": high.value, "highInside": high.inside,
        })
    };
    let ranges: Vec<serde_json::Value> = match &test.wanted {
        Wanted::Any => vec![serde_json::json!({})],
        Wanted::OneOf(values) => values
            .iter()
            .map(|value| Bound { value: Some(value.clone()), inside: true })
            .map(|bound| range(&bound, &bound))
            .collect(),
        Wanted::Between(low, high) => vec![range(low, high)],
    };
    serde_json::json!({ "path": format!("$.\"{}\"", test.name), "ranges": ranges })
}

fn texts(text: Option<&Text>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_string()))
}

fn printed(id: Option<impl ToString>) -> Value {
    id.map_or(Value::Null, |id| Value::Text(id.to_string()))
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Read<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Data(error.to_string()))
}

fn json_unless_empty<T: serde::Serialize>(items: &[T]) -> Read<Value> {
    if items.is_empty() { Ok(Value::Null) } else { json(items).map(Value::Text) }
}

/// The statuses that a filter names, each once; all that could match if it names none.
fn statuses(filter: &RunFilter) -> Vec<RunStatus> {
    let named = |status: &RunStatus| filter.statuses.is_empty() || filter.statuses.contains(status);
    let may_have =
        |status: &RunStatus| filter.failure.is_empty() || *status == RunStatus::Failed || !status.is_terminal();
    RunStatus::ALL.into_iter().filter(named).filter(may_have).collect()
}

/// The least number from which on all runs were created at or after a time. Numbers are given in the order of creation,
/// by a clock that never runs backwards, so halving finds it without an index on times.
fn first_run_at(connection: &Connection, time: Timestamp) -> Read<i64> {
    let greatest = first(connection, sql::RUN_GREATEST, [], |row| row.next::<Option<i64>>())?.flatten();
    let (mut low, mut high) = (1, greatest.unwrap_or(0).saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let nearest =
            first(connection, sql::RUN_NEAREST, [middle], |row| Ok((row.next::<i64>()?, row.next::<Timestamp>()?)))?;
        match nearest {
            Some((run_no, created_at)) if created_at < time => low = run_no + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
