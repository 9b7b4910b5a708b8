//! The map as a table: which room lies in which ring, and which arrows may run between rooms.
//!
//! A room is a folder or a file right under `src/`. A ring uses the rings below it; within a ring only the arrows in the
//! table are allowed. The two inner rings are plain data and thought, so they are also kept free of the outside world.

use std::collections::BTreeSet;

use crate::repo::Finding;
use crate::source::Source;

/// A part of the server with a name, a place and a list of neighbours in its own ring that it may use.
struct Room {
    name: &'static str,
    ring: u8,
    neighbours: &'static [&'static str],
}

const fn room(ring: u8, name: &'static str, neighbours: &'static [&'static str]) -> Room {
    Room { name, ring, neighbours }
}

const ROOMS: &[Room] = &[
    // Words.
    room(0, "limits", &[]),
    room(0, "model", &["limits"]),
    room(0, "clock", &["limits", "model"]),
    // Thought.
    room(1, "engine", &["flow"]),
    room(1, "flow", &[]),
    room(1, "dialect", &[]),
    // Hands.
    room(2, "store", &[]),
    room(2, "auth", &[]),
    room(2, "dispatch", &["auth"]),
    room(2, "telemetry", &[]),
    // Loops and doors.
    room(3, "processor", &[]),
    room(3, "cluster", &["processor"]),
    room(3, "catalog", &["cluster", "processor"]),
    room(3, "jobs", &["cluster", "processor"]),
    room(3, "auditor", &["cluster", "processor"]),
    room(3, "recorder", &[]),
    room(3, "api", &["catalog", "cluster", "jobs", "processor"]),
    room(3, "dashboard", &[]),
    // Assembly.
    room(4, "config", &[]),
    room(4, "node", &["config"]),
    room(4, "cli", &["config", "node"]),
];

/// The rooms without a clock, chance, threads or the outside world.
const PURE: &[&str] = &["limits", "model", "engine", "flow", "dialect"];

/// Libraries of values and their encodings, which may be used anywhere, the pure rooms included.
const PLAIN_DATA: &[&str] = &[
    "base64",
    "bytes",
    "cel",
    "croner",
    "http",
    "jiff",
    "regex_automata",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
];

/// Parts of the standard library that reach outside.
const OUTSIDE: &[&str] = &["env", "fs", "net", "os", "process", "thread"];

/// Standard names whose order or value differs from one process to the next.
const UNREPEATABLE: &[&str] = &["HashMap", "HashSet", "RandomState", "DefaultHasher"];

fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// Whether the table lets `from` use `to`.
fn allows(from: &Room, to: &Room) -> bool {
    let sideways = from.neighbours.contains(&to.name);
    let inward = if from.ring == 1 { ["model", "limits"].contains(&to.name) } else { to.ring < from.ring };
    let strangers = from.name == "store" && to.name == "engine";
    (sideways || inward) && !strangers
}

/// What to do instead of the arrow `from` → `to`.
fn instead(from: &Room, to: &Room) -> String {
    let pair = [from.name, to.name];
    if pair == ["engine", "store"] || pair == ["store", "engine"] {
        return "the engine and the store meet in `model::Change`: move what both need to `model`".into();
    }
    if to.name == "clock" {
        return "take a `Moment` as an argument: time and chance enter from outside".into();
    }
    let allowed: Vec<&str> = ROOMS.iter().filter(|room| allows(from, room)).map(|room| room.name).collect();
    let allowed = if allowed.is_empty() { "no other room".into() } else { allowed.join(", ") };
    format!("it may use {allowed}. Move what both need to `model`, or let the caller pass it in")
}

/// Arrows that the table does not have.
pub(crate) fn arrows(source: &Source) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for item in &source.names {
        let Some((root, target)) = item.what.first().zip(item.what.get(1)) else { continue };
        if root != "crate" && root != "backstitch_server" {
            continue;
        }
        let message = match (source.room(), find(target)) {
            // The index names every room, and a room names itself.
            (None, _) if source.path == "src/lib.rs" => continue,
            (Some(own), _) if own == *target => continue,
            (None, _) if target == "cli" => continue,
            (None, _) => format!(
                "`{}` uses `{target}`: it parses, runs and exits through `cli` and knows nothing else",
                source.path
            ),
            (Some(own), None) => {
                format!("`{own}` uses `crate::{target}`, which is no room: name the thing by the room it lives in")
            }
            (Some(own), Some(to)) => match find(&own) {
                Some(from) if !allows(from, to) => {
                    format!("`{own}` (ring {}) uses `{target}` (ring {}): {}", from.ring, to.ring, instead(from, to))
                }
                _ => continue,
            },
        };
        if seen.insert((item.line, message.clone())) {
            findings.push(Finding::new(&source.path, item.line, message));
        }
    }
    findings
}

/// Files and folders right under `src/` that the table does not have.
pub(crate) fn unknown(paths: &BTreeSet<String>) -> Vec<Finding> {
    let strangers = present(paths).into_iter().filter(|name| find(name).is_none());
    strangers
        .map(|name| Finding::new(&format!("src/{name}"), 0, "is no room yet: add it to ROOMS in tests/tidy/rooms.rs with its ring, and a paragraph to docs/internals/architecture.md"))
        .collect()
}

/// The rooms that exist under `src/`.
pub(crate) fn present(paths: &BTreeSet<String>) -> BTreeSet<String> {
    let inside = paths.iter().filter_map(|path| path.strip_prefix("src/"));
    let names = inside.filter_map(|path| path.split('/').next()).map(|name| name.trim_end_matches(".rs").to_owned());
    names.filter(|name| name != "lib" && name != "main").collect()
}

/// What the pure rooms must not know: the outside world, waiting, unrepeatable order, and libraries other than plain data.
pub(crate) fn impurities(source: &Source, libraries: &BTreeSet<String>) -> Vec<Finding> {
    let Some(own) = source.room().filter(|own| PURE.contains(&own.as_str())) else { return vec![] };
    let thinks = find(&own).is_some_and(|room| room.ring == 1);
    let mut findings = Vec::new();
    for item in source.names.iter().filter(|item| !item.test) {
        let names: Vec<&str> = item.what.iter().map(String::as_str).collect();
        let problem = match names.as_slice() {
            ["async" | "await", ..] => "it computes and never waits: give the caller an action to perform".into(),
            ["std", outside, ..] if OUTSIDE.contains(outside) => {
                format!("`std::{outside}` reaches outside: return an action, and let ring 2 perform it")
            }
            names if thinks && names.iter().any(|name| UNREPEATABLE.contains(name)) => {
                "its order differs from one process to the next: use BTreeMap, BTreeSet or a Vec".into()
            }
            [library, _, ..] if libraries.contains(*library) && !PLAIN_DATA.contains(library) => format!(
                "`{library}` is not a library of plain data: use it in ring 2, or add it to PLAIN_DATA in tests/tidy/rooms.rs and say why"
            ),
            _ => continue,
        };
        findings.push(Finding::new(
            &source.path,
            item.line,
            format!("`{own}` names `{}`: {problem}", names.join("::")),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    fn arrows_of(path: &str, text: &str) -> Vec<Finding> {
        arrows(&Source::read(path, text).unwrap())
    }

    fn impurities_of(path: &str, text: &str) -> Vec<Finding> {
        let libraries = ["tokio", "serde", "rand"].map(str::to_owned).into();
        impurities(&Source::read(path, text).unwrap(), &libraries)
    }

    #[test]
    fn outward_arrows_are_found() {
        check(
            &arrows_of("src/model/run.rs", "//! x\nuse crate::engine::Partition;"),
            &[(2, "`model` (ring 0) uses `engine` (ring 1)")],
        );
        check(
            &arrows_of("src/store/mod.rs", "fn f() { crate::api::error::g() }"),
            &[(1, "`store` (ring 2) uses `api`")],
        );
        check(
            &arrows_of("src/processor/mod.rs", "use super::node;"),
            &[(1, "it may use limits, model, clock, engine")],
        );
        check(
            &arrows_of("src/api/runs.rs", "use crate::{model::Run, config::Api, processor::Mailbox};"),
            &[(1, "uses `config`")],
        );
    }

    #[test]
    fn sideways_arrows_are_found() {
        check(
            &arrows_of("src/engine/step.rs", "use crate::flow::Verdict; use crate::dialect::native;"),
            &[(1, "uses `dialect`")],
        );
        check(&arrows_of("src/flow/mod.rs", "use crate::engine::X;"), &[(1, "uses `engine`")]);
        check(&arrows_of("src/dispatch/mod.rs", "use crate::{auth::Key, store::Row};"), &[(1, "uses `store`")]);
        check(&arrows_of("src/limits.rs", "use crate::model::Id;"), &[(1, "no other room")]);
    }

    #[test]
    fn strangers_and_the_clock_have_their_own_advice() {
        check(&arrows_of("src/engine/mod.rs", "use crate::store::Store;"), &[(1, "model::Change")]);
        check(&arrows_of("src/store/memory.rs", "use crate::engine::Key;"), &[(1, "model::Change")]);
        check(&arrows_of("src/engine/mod.rs", "use crate::clock::Clock;"), &[(1, "take a `Moment`")]);
    }

    #[test]
    fn only_rooms_are_named_from_the_root() {
        check(&arrows_of("src/api/mod.rs", "use crate::Server;"), &[(1, "is no room")]);
        check(
            &arrows_of("src/main.rs", "use backstitch_server::{cli, node::Node};"),
            &[(1, "`src/main.rs` uses `node`")],
        );
    }

    #[test]
    fn inward_arrows_are_fine() {
        check(
            &arrows_of(
                "src/engine/mod.rs",
                "use crate::{engine::x, flow::y, limits, model::Change}; use super::model;",
            ),
            &[],
        );
        check(&arrows_of("src/cli/mod.rs", "use crate::{node::Node, config::Config, api::routes};"), &[]);
        check(&arrows_of("src/lib.rs", "pub use crate::engine::Partition;"), &[]);
    }

    #[test]
    fn the_outside_world_is_found_in_pure_rooms() {
        check(
            &impurities_of("src/engine/a.rs", "use std::fs;\nasync fn f() {}\nuse std::collections::HashMap;"),
            &[(1, "reaches outside"), (2, "never waits"), (3, "BTreeMap")],
        );
        check(
            &impurities_of("src/dialect/a.rs", "use tokio::time;\nuse serde::Serialize;\nfn f() { rand::random() }"),
            &[(1, "`tokio`"), (3, "`rand`")],
        );
        check(
            &impurities_of("src/flow/a.rs", "fn f(x: std::collections::hash_map::RandomState) {}"),
            &[(1, "BTreeMap")],
        );
    }

    #[test]
    fn tests_and_outer_rooms_may_know_the_world() {
        check(&impurities_of("src/engine/a.rs", "#[cfg(test)] mod tests { use tokio::time; }"), &[]);
        check(&impurities_of("src/store/a.rs", "use tokio::time; use std::collections::HashMap;"), &[]);
    }

    #[test]
    fn rooms_outside_the_table_are_found() {
        let paths = ["src/lib.rs", "src/main.rs", "src/engine/mod.rs", "src/utils/mod.rs", "src/helpers.rs"]
            .map(str::to_owned)
            .into();
        check(&unknown(&paths), &[(0, "ROOMS"), (0, "ROOMS")]);
    }
}
