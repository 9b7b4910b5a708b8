//! Connections and the schema: how a file is opened, which settings every connection has, and the migrations that bring
//! an older file up to this version. A file of a newer version, or of another program, is refused.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Durability, sql};
use crate::limits;
use crate::store::StoreError;

/// Older versions can corrupt a file when its write-ahead log starts over.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// "Bkst": marks a file as ours.
const APPLICATION_ID: i32 = 0x426b_7374;

/// Where a database file says what it is: its first bytes, by SQLite's file format.
const HEAD_BYTES: usize = 100;
const USER_VERSION_AT: usize = 60;
const APPLICATION_ID_AT: usize = 68;

/// Every migration in order; a file's `user_version` says how many it has had.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_first.sql"),
    include_str!("../../../migrations/sqlite/0002_primitives.sql"),
    include_str!("../../../migrations/sqlite/0003_schedules.sql"),
    include_str!("../../../migrations/sqlite/0004_streams.sql"),
    include_str!("../../../migrations/sqlite/0005_tags.sql"),
    include_str!("../../../migrations/sqlite/0006_labels.sql"),
    include_str!("../../../migrations/sqlite/0007_waited.sql"),
];

fn refused(error: &rusqlite::Error) -> StoreError {
    StoreError::Open(error.to_string())
}

/// Refuses a library that is too old to be trusted with a write-ahead log.
pub(super) fn check_library() -> Result<&'static str, StoreError> {
    if rusqlite::version_number() >= SQLITE_VERSION_MIN {
        return Ok(rusqlite::version());
    }
    Err(StoreError::Open(format!("SQLite {} is too old: 3.51.3 is the first that is safe here", rusqlite::version())))
}

/// Says of a file that no server has open whether this version can use it, without opening it as a database: that would
/// leave files beside it. Returns its version; nothing when there is no file, or nothing in it.
pub(super) fn look(path: &Path) -> Result<Option<i32>, StoreError> {
    let mut head = [0; HEAD_BYTES];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => return Ok(None),
        Err(error) => return Err(StoreError::Open(format!("{} could not be read: {error}", path.display()))),
        Ok(()) => {}
    }
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (version, application) = (number(USER_VERSION_AT), number(APPLICATION_ID_AT));
    // What was written last may still stand in the write-ahead log: a file without marks may be ours.
    if !head.starts_with(b"SQLite format 3\0") || !matches!(application, 0 | APPLICATION_ID) {
        return Err(foreign(path));
    }
    if version > newest() { Err(too_new(path, version)) } else { Ok(Some(version)) }
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn foreign(path: &Path) -> StoreError {
    StoreError::Open(format!(
        "{} is a database of another program; give the server a directory of its own",
        path.display()
    ))
}

fn too_new(path: &Path, version: i32) -> StoreError {
    StoreError::Open(format!(
        "{} was written by a newer version of Backstitch (schema {version}, this version knows {}); start that version, or \
         restore a backup from before it",
        path.display(),
        newest()
    ))
}

/// Says of an open file whether its tables are those of this version.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    match version.map_err(|error| refused(&error))? {
        version if version > newest() => Err(too_new(path, version)),
        version if version < newest() => Err(StoreError::Open(format!(
            "{} was written by an older version of Backstitch (schema {version}, this version has {}); start a server of this \
             version on it first, which brings it up to date",
            path.display(),
            newest()
        ))),
        _ => Ok(()),
    }
}

/// Opens the connection that writes, and migrates the file.
pub(super) fn open_writer(
    path: &Path,
    durability: Durability,
    pages_max: Option<u32>,
) -> Result<Connection, StoreError> {
    let mut connection = writer(path, durability, pages_max).map_err(|error| refused(&error))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn writer(path: &Path, durability: Durability, pages_max: Option<u32>) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    common(&connection, limits::WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match durability {
        Durability::Full => "full",
        Durability::Relaxed => "off",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // The writer copies the log into the file itself, between commits.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", limits::WAL_FILE_BYTES_MAX)?;
    if let Some(pages_max) = pages_max {
        connection.pragma_update(None, "max_page_count", pages_max)?;
    }
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        common(&connection, limits::READER_CACHE_KIB)?;
        Ok(connection)
    };
    open().map_err(|error| refused(&error))
}

fn common(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(limits::DATABASE_BUSY_MS))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "mmap_size", 0)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| refused(&error))?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(|error| refused(&error))?;
    let version = number("user_version").map_err(|error| refused(&error))?;
    let tables = transaction.query_row(sql::SCHEMA_TABLES, [], |row| row.get::<_, i64>(0));
    let tables = tables.map_err(|error| refused(&error))?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(foreign(path));
    }
    if version > newest() {
        return Err(too_new(path, version));
    }
    let apply = || {
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", newest())
    };
    if version < newest() {
        apply().map_err(|error| refused(&error))?;
    }
    transaction.commit().map_err(|error| refused(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, Path::new("fresh")).unwrap();
        connection
    }

    fn files(dir: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        let names = std::fs::read_dir(root).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn every_statement_prepares_on_a_fresh_database() {
        let connection = fresh();
        for (name, text) in sql::ALL {
            connection.prepare(text).unwrap_or_else(|error| panic!("{name}.sql: {error}"));
        }
    }

    #[test]
    fn every_file_is_a_statement() {
        let mut listed: Vec<String> = sql::ALL.iter().map(|(name, _)| format!("{name}.sql")).collect();
        listed.sort();
        assert_eq!(files("src/store/sqlite/sql"), listed);
    }

    #[test]
    fn migrations_are_numbered_without_gaps_and_all_listed() {
        let numbered = files("migrations/sqlite");
        assert_eq!(numbered.len(), MIGRATIONS.len());
        for (at, name) in numbered.iter().enumerate() {
            assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name} is out of order");
        }
    }

    #[test]
    fn every_file_of_a_search_is_in_one() {
        let mut listed: Vec<String> = sql::SOURCES.iter().map(|(name, _)| format!("{name}.sql")).collect();
        listed.extend(["counts.sql", "edge.sql", "matching.sql", "page.sql", "probe.sql"].map(str::to_owned));
        listed.sort();
        assert_eq!(files("src/store/sqlite/search"), listed);
    }

    fn plan(connection: &Connection, text: &str) -> Vec<String> {
        let mut plan = connection.prepare(&format!("explain query plan {text}")).unwrap();
        plan.raw_query().mapped(|row| row.get::<_, String>(3)).collect::<Result<_, _>>().unwrap()
    }

    /// What a row's own JSON holds is walked over, and nothing else.
    fn walks_over_a_table(step: &str) -> bool {
        // What a source gave is counted by a probe, and has a limit.
        let bounded = step == "SCAN source" || step.contains("waits_scanning") || step.contains("VIRTUAL TABLE");
        step.starts_with("SCAN") && !bounded
    }

    /// Statements of the hot path, and lists that people page through, must never walk over a table.
    #[test]
    fn no_statement_walks_over_a_table_but_those_that_read_all_of_it() {
        let connection = fresh();
        for (name, text) in sql::ALL {
            let whole = name.starts_with("dump_")
                || name.starts_with("verify_stray")
                || ["verify_apps", "verify_locks", "verify_numbers", "verify_payloads"].contains(name)
                || ["apps", "deployments", "deployments_prune", "jobs", "jobs_forget", "schema_tables"].contains(name);
            if whole || name.starts_with("transaction_") {
                continue;
            }
            // One journal is sorted as a whole: it has a bound, and is read so by the few that do not fit a request.
            let one_journal = ["entries_settled_before", "verify_journals"].contains(name);
            let steps = plan(&connection, text);
            let sorts = |step: &String| step.contains("TEMP B-TREE") && !one_journal;
            assert!(!steps.iter().any(|step| walks_over_a_table(step) || sorts(step)), "{name}.sql: {steps:#?}");
        }
    }

    /// A table on the side, or a trigger, would cost as much as the row.
    #[test]
    fn statements_of_every_run_and_step_write_their_row_and_nothing_else() {
        let connection = fresh();
        for text in [
            sql::RUN_INSERT,
            sql::RUN_UPDATE,
            sql::ENTRY_INSERT,
            sql::ENTRY_UPDATE,
            sql::PARTITION_ADVANCE,
            sql::MESSAGES_INSERT,
        ] {
            let mut program = connection.prepare(&format!("explain {text}")).unwrap();
            let steps =
                program.raw_query().mapped(|row| row.get::<_, String>(1)).collect::<Result<Vec<_>, _>>().unwrap();
            assert!(
                steps.len() > 10 && !steps.iter().any(|step| step == "OpenEphemeral" || step == "Program"),
                "{text}"
            );
        }
    }

    /// Candidates come by their index, newest first; those that do not are few when they are sorted. Each is looked at in its row.
    #[test]
    fn a_search_goes_by_its_index() {
        let connection = fresh();
        for (name, source) in sql::SOURCES {
            let in_order = !["from_name", "from_range"].contains(name);
            for text in [source.probe, source.edge, source.page, source.counts] {
                let steps = plan(&connection, text);
                let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
                assert!(!steps.iter().any(|step| walks_over_a_table(step)), "{name}: {steps:#?}");
                assert!(!sorts || !in_order && (text == source.page || text == source.edge), "{name}: {steps:#?}");
                let by_number = "SEARCH runs USING INTEGER PRIMARY KEY";
                let led = steps.iter().find(|step| step.starts_with("SEARCH")).is_some_and(|step| {
                    step.contains("COVERING INDEX")
                        || step.contains("USING PRIMARY KEY")
                        || *name == "from_all" && step.starts_with(by_number)
                });
                assert!(led, "{name}: {steps:#?}");
                assert!(
                    text == source.probe
                        || text == source.edge
                        || steps.iter().any(|step| *step == format!("{by_number} (rowid=?)")),
                    "{name}: {steps:#?}"
                );
            }
        }
    }

    /// What people are told to type works, and every table they may find is described.
    #[test]
    fn the_page_for_people_is_true() {
        let connection = fresh();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(root.join("docs/operating/sql.md")).unwrap();
        let examples: Vec<&str> =
            page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(examples.len() >= 4);
        for example in examples {
            let mut statement = connection.prepare(example).unwrap_or_else(|error| panic!("{example}: {error}"));
            statement.raw_query().next().unwrap_or_else(|error| panic!("{example}: {error}"));
        }
        let mut schema =
            connection.prepare("select name, type from sqlite_schema where type in ('table', 'view')").unwrap();
        let mut rows = schema.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let name = row.get::<_, String>(0).unwrap();
            assert!(page.contains(&format!("| `{name}`")) || page.contains(&format!(", `{name}` |")), "{name}");
            if row.get::<_, String>(1).unwrap() == "view" {
                let view = connection.prepare(&format!("select * from {name}")).unwrap();
                let line = page.lines().find(|line| line.starts_with(&format!("| `{name}`"))).unwrap();
                for column in view.column_names() {
                    assert!(line.contains(&format!("`{column}`")), "{name}.{column}");
                }
            }
        }
    }

    #[test]
    fn views_can_be_read() {
        let connection = fresh();
        for view in ["v_messages", "v_runs", "v_steps", "v_waiting"] {
            connection.prepare(&format!("select * from {view}")).unwrap().raw_query().next().unwrap();
        }
    }
}
