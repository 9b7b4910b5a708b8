//! One door per library and per piece of the outside world, and SQL in files of its own.
//!
//! A library behind one door can be replaced, limited and tested in one place. Test code may use what it wants to look at the
//! product from outside; how rooms may use each other is `rooms`' business.

use crate::repo::Finding;
use crate::source::Source;

/// Names that may appear in certain rooms only.
struct Door {
    /// Where in a path the names stand.
    at: At,
    names: &'static [&'static str],
    rooms: &'static [&'static str],
    instead: &'static str,
}

enum At {
    /// A path begins so: `["hyper_util", "client"]`.
    Start,
    /// A path ends so: any `Instant::now`, whoever's `Instant` it is.
    End,
    /// A macro of one of these names is called.
    Macro,
}

const fn door(at: At, names: &'static [&'static str], rooms: &'static [&'static str], instead: &'static str) -> Door {
    Door { at, names, rooms, instead }
}

const STORE: &str = "add a method to the Store trait";
const CONFIG: &str = "add a field to the concern's struct in config/ and pass the struct in";
const TIME: &str = "take a `Moment` as an argument, or a `Clock` where time itself is the business";
const CHANCE: &str = "take a seed from `Moment`, or `Entropy` from clock.rs";
const PRINT: &str = "log with `tracing`; only commands print";

const DOORS: &[Door] = &[
    door(At::Start, &["rusqlite"], &["store"], STORE),
    door(At::Start, &["sqlx"], &["store"], STORE),
    door(At::Start, &["hyper_util", "client"], &["dispatch"], "call handlers through `dispatch`"),
    door(At::Start, &["hyper", "client"], &["dispatch"], "call handlers through `dispatch`"),
    door(At::Start, &["reqwest"], &["dispatch", "cli"], "call handlers through `dispatch`"),
    door(At::Start, &["axum"], &["api", "dashboard", "node"], "serve it from `api`, and keep HTTP out of here"),
    door(At::Start, &["clap"], &["cli", "config"], "take a config struct"),
    door(At::Start, &["rand"], &["clock"], CHANCE),
    door(At::Start, &["getrandom"], &["clock"], CHANCE),
    door(At::Start, &["fastrand"], &["clock"], CHANCE),
    door(At::End, &["Instant", "now"], &["clock"], TIME),
    door(At::End, &["SystemTime", "now"], &["clock"], TIME),
    door(At::End, &["Timestamp", "now"], &["clock"], TIME),
    door(At::End, &["Zoned", "now"], &["clock"], TIME),
    door(At::End, &["env", "var"], &["config"], CONFIG),
    door(At::End, &["env", "var_os"], &["config"], CONFIG),
    door(At::End, &["env", "vars"], &["config"], CONFIG),
    door(At::End, &["env", "vars_os"], &["config"], CONFIG),
    door(At::End, &["env", "set_var"], &[], "pass the value in: the environment is shared by every thread"),
    door(At::End, &["env", "remove_var"], &[], "pass the value in: the environment is shared by every thread"),
    door(At::End, &["io", "stdout"], &["cli"], PRINT),
    door(At::End, &["io", "stderr"], &["cli", "telemetry"], PRINT),
    door(At::Macro, &["print", "println", "eprint", "eprintln", "dbg"], &["cli"], PRINT),
];

/// Libraries and pieces of the outside world used elsewhere than at their door.
pub(crate) fn wrong_doors(source: &Source) -> Vec<Finding> {
    let own = source.room().unwrap_or_default();
    let mut findings = Vec::new();
    for door in DOORS.iter().filter(|door| !door.rooms.contains(&own.as_str())) {
        let names = source
            .names
            .iter()
            .filter(|item| !item.test && door.names_path(&item.what))
            .map(|item| (item.what.join("::"), item.line));
        let macros = source
            .macros
            .iter()
            .filter(|item| !item.test && door.names_macro(&item.what))
            .map(|item| (format!("{}!", item.what), item.line));
        for (name, line) in names.chain(macros) {
            let place =
                if door.rooms.is_empty() { "nowhere".into() } else { format!("only in {}", door.rooms.join(", ")) };
            findings.push(Finding::new(&source.path, line, format!("`{name}` may be used {place}: {}", door.instead)));
        }
    }
    findings.extend(variables_of_clap(source, &own));
    findings
}

impl Door {
    fn names_path(&self, path: &[String]) -> bool {
        match self.at {
            // A single name is as likely a variable or a field.
            At::Start => path.len() > 1 && path.iter().zip(self.names).all(|(a, b)| a == b),
            At::End => path.len() >= self.names.len() && path[path.len() - self.names.len()..] == *self.names,
            At::Macro => false,
        }
    }

    fn names_macro(&self, name: &str) -> bool {
        matches!(self.at, At::Macro) && self.names.contains(&name)
    }
}

/// `#[arg(env = "…")]` reads an environment variable, too.
fn variables_of_clap(source: &Source, own: &str) -> Vec<Finding> {
    let reads = |words: &[String]| matches!(words, [first, rest @ ..] if (first == "arg" || first == "clap") && rest.iter().any(|word| word == "env"));
    let found = source.attributes.iter().filter(|item| own != "config" && reads(&item.what));
    found
        .map(|item| {
            Finding::new(&source.path, item.line, format!("`#[arg(env)]` may be used only in config: {CONFIG}"))
        })
        .collect()
}

/// Statements written in Rust strings, and `.sql` files read elsewhere than in the store.
pub(crate) fn sql_in_rust(source: &Source) -> Vec<Finding> {
    let in_store = source.room().is_some_and(|own| own == "store");
    let mut findings = Vec::new();
    for item in source.strings.iter().filter(|item| !item.test) {
        if is_sql(&item.what) {
            let message = "is SQL in Rust: give it a name in a .sql file of the store, and read that with include_str!";
            findings.push(Finding::new(&source.path, item.line, format!("{:?} {message}", first_line(&item.what))));
        } else if item.what.ends_with(".sql") && !in_store {
            findings.push(Finding::new(
                &source.path,
                item.line,
                format!("{:?} is read outside the store: {STORE}", item.what),
            ));
        }
    }
    findings
}

/// How statements begin, in capitals: a first word, and the words of which one follows.
const STATEMENTS: &[(&str, &[&str])] = &[
    ("SELECT", &[]),
    ("INSERT", &["INTO", "OR"]),
    ("REPLACE", &["INTO"]),
    ("UPDATE", &[]),
    ("DELETE", &["FROM"]),
    ("CREATE", &["TABLE", "INDEX", "UNIQUE", "VIEW", "TRIGGER", "TEMP"]),
    ("ALTER", &["TABLE"]),
    ("DROP", &["TABLE", "INDEX", "VIEW", "TRIGGER"]),
    ("WITH", &[]),
    ("PRAGMA", &[]),
    ("BEGIN", &[]),
    ("COMMIT", &[]),
    ("ROLLBACK", &[]),
    ("SAVEPOINT", &[]),
    ("ATTACH", &["DATABASE"]),
    ("VACUUM", &[]),
];

/// In lower case a first word may be prose, so that something else of the statement has to be there, too.
const LOWER_CASE: &[(&str, &str)] =
    &[("select ", " from "), ("insert into ", "("), ("update ", " set "), ("delete from ", ""), ("create table ", "(")];

/// What a clause in the middle of a statement looks like, for those who glue statements together.
const CLAUSES: &[&str] = &[" FROM ", " WHERE ", " ORDER BY ", " GROUP BY ", " VALUES (", " VALUES(", " RETURNING "];

fn is_sql(text: &str) -> bool {
    let words: Vec<&str> =
        text.split([' ', '\n', ';']).flat_map(|word| word.split("\\n")).filter(|word| !word.is_empty()).collect();
    let first = words.first().copied().unwrap_or_default();
    let begins = STATEMENTS.iter().any(|(word, follow)| {
        first == *word && (follow.is_empty() || words.get(1).is_some_and(|next| follow.contains(next)))
    });
    let padded = format!(" {} ", words.join(" "));
    let lower = LOWER_CASE.iter().any(|(start, part)| padded.trim_start().starts_with(start) && padded.contains(part));
    begins || lower || CLAUSES.iter().any(|clause| padded.contains(clause))
}

fn first_line(text: &str) -> String {
    let line = text.trim().split("\\n").next().unwrap_or_default().lines().next().unwrap_or_default();
    line.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    fn doors_of(path: &str, text: &str) -> Vec<Finding> {
        wrong_doors(&Source::read(path, text).unwrap())
    }

    fn sql_of(path: &str, text: &str) -> Vec<Finding> {
        sql_in_rust(&Source::read(path, text).unwrap())
    }

    #[test]
    fn libraries_are_found_elsewhere_than_at_their_door() {
        check(
            &doors_of("src/api/runs.rs", "use rusqlite::Connection;"),
            &[(1, "only in store: add a method to the Store trait")],
        );
        check(
            &doors_of("src/processor/mod.rs", "use axum::Json;\nfn f() { reqwest::get(1) }"),
            &[(2, "`reqwest::get`"), (1, "`axum::Json`")],
        );
        check(
            &doors_of("src/api/mod.rs", "use hyper_util::{client::legacy::Client, rt::TokioIo};"),
            &[(1, "only in dispatch")],
        );
        check(&doors_of("src/dispatch/mod.rs", "use axum::http;"), &[(1, "keep HTTP out of here")]);
    }

    #[test]
    fn time_chance_environment_and_printing_are_found() {
        check(&doors_of("src/processor/mod.rs", "fn f() { std::time::Instant::now(); }"), &[(1, "take a `Moment`")]);
        check(
            &doors_of("src/store/mod.rs", "fn f() { Timestamp::now(); rand::rng(); }"),
            &[(1, "`Entropy`"), (1, "`Timestamp::now`")],
        );
        check(
            &doors_of("src/cli/dev.rs", "fn f() { env::var(\"X\") }\nstruct S { #[arg(long, env = \"X\")] x: u8 }"),
            &[(1, "config"), (2, "config")],
        );
        check(
            &doors_of("src/node.rs", "fn f() { println!(\"x\"); std::eprintln!(); }"),
            &[(1, "`println!`"), (1, "`eprintln!`")],
        );
        check(&doors_of("src/main.rs", "fn f() { std::env::set_var(\"X\", \"\"); }"), &[(1, "nowhere")]);
    }

    #[test]
    fn doors_themselves_are_open() {
        check(&doors_of("src/store/sqlite/mod.rs", "use rusqlite::Connection;"), &[]);
        check(&doors_of("src/clock.rs", "fn f() { std::time::SystemTime::now(); rand::rng(); }"), &[]);
        check(&doors_of("src/config/mod.rs", "fn f() { std::env::var(\"X\"); }"), &[]);
        check(&doors_of("src/cli/runs.rs", "fn f() { println!(\"x\") }"), &[]);
        check(&doors_of("src/api/mod.rs", "use hyper_util::server::conn; fn f(axum: u8) { axum + 1 }"), &[]);
        check(&doors_of("src/dispatch/mod.rs", "#[cfg(test)] mod tests { use axum::Router; }"), &[]);
    }

    #[test]
    fn statements_in_strings_are_found() {
        for sql in [
            "SELECT 1",
            "  SELECT id FROM runs",
            "select id from runs",
            "INSERT INTO runs VALUES (1)",
            "insert into runs values (1)",
            "UPDATE runs SET status = ?",
            "delete from runs",
            "CREATE TABLE x (id)",
            "create table x (id)",
            "PRAGMA journal_mode",
            "BEGIN IMMEDIATE",
            "COMMIT",
            "WITH due AS (",
            " WHERE id = ?1",
            "\\n ORDER BY id",
        ] {
            check(&sql_of("src/store/sqlite/mod.rs", &format!("const X: &str = \"{sql}\";")), &[(1, "include_str!")]);
        }
    }

    #[test]
    fn prose_and_methods_are_no_statements() {
        for text in [
            "DELETE",
            "DELETE /v1/apps/{app}",
            "select a run",
            "update the app",
            "Create an index first",
            "insert",
            "delete it",
            "runs where nothing moves",
            "create unique names",
            "BEGINNING",
        ] {
            check(&sql_of("src/cli/mod.rs", &format!("const X: &str = \"{text}\";")), &[]);
        }
    }

    #[test]
    fn sql_files_belong_to_the_store() {
        check(&sql_of("src/api/mod.rs", "const X: &str = include_str!(\"runs.sql\");"), &[(1, "outside the store")]);
        check(&sql_of("src/store/sqlite/mod.rs", "const X: &str = include_str!(\"runs.sql\");"), &[]);
        check(&sql_of("src/store/sqlite/mod.rs", "#[cfg(test)] const X: &str = \"SELECT 1\";"), &[]);
    }
}
