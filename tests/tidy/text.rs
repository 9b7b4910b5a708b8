//! Rules on files as text: every file introduces itself, stays readable, and refers to no one machine and to no "later".

use crate::repo::Finding;

/// Lines after which a file has more than one subject.
const LINES_MAX: usize = 600;

/// Files that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[];

/// Folders of code that we write by hand.
const CODE: &[&str] = &["src/", "sdk-rust/", "sdk-ts/", "dashboard/", "tests/", "bench/", "examples/", "migrations/"];

/// How a file of a kind begins when it introduces itself.
const HEADERS: &[(&str, &[&str])] = &[
    (".rs", &["//!"]),
    (".ts", &["//", "/*"]),
    (".tsx", &["//", "/*"]),
    (".mts", &["//", "/*"]),
    (".mjs", &["//", "/*"]),
    (".js", &["//", "/*"]),
    (".sql", &["--"]),
];

/// Texts that lead to one machine's folders. Put together here, so that this file does not break its own rule.
const PLACES: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("shared/", "design"), concat!("shared/", "facts")];

/// Words that promise something instead of doing it.
const PROMISES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Programs that must not compile: what the compiler says of each line is the test, so no line is added to them.
const COMPILE_FAILURES: &str = "sdk-rust/macros/tests/ui/";

fn is_code(path: &str) -> bool {
    !path.starts_with(COMPILE_FAILURES)
        && CODE.iter().any(|folder| path.starts_with(folder))
        && HEADERS.iter().any(|(ending, _)| path.ends_with(ending))
}

/// A code file that does not say what it is.
pub(crate) fn missing_header(path: &str, text: &str) -> Option<Finding> {
    let (_, starts) = HEADERS.iter().find(|(ending, _)| is_code(path) && path.ends_with(ending))?;
    let after_shebang = if text.starts_with("#!/") { text.split_once('\n').map_or("", |(_, rest)| rest) } else { text };
    let introduced = starts.iter().any(|start| after_shebang.trim_start().starts_with(start));
    let message = format!("open with `{}`: what the file is for, whom it talks to, what it refuses", starts[0]);
    (!introduced).then(|| Finding::new(path, 1, message))
}

/// A code file with more than one subject, by its length.
pub(crate) fn too_long(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let excused = LONG.iter().any(|(long, _)| *long == path);
    let message = format!("has {lines} lines, and {LINES_MAX} is the wall: give its second subject a file of its own");
    (is_code(path) && lines > LINES_MAX && !excused).then(|| Finding::new(path, 0, message))
}

/// References to folders that exist on somebody's machine only.
pub(crate) fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    let found = lines_with(text, PLACES, |before, _| !before.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c)));
    found
        .map(|(line, place)| {
            Finding::new(path, line, format!("{place:?} exists on one machine only: use a path inside the project"))
        })
        .collect()
}

/// Notes about work that is left, in code.
pub(crate) fn promises(path: &str, text: &str) -> Vec<Finding> {
    let alone = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    let found = lines_with(text, PROMISES, |before, after| alone(before) && alone(after)).filter(|_| is_code(path));
    found
        .map(|(line, word)| {
            Finding::new(path, line, format!("{word}: do it now, or open an issue and say here how it is today"))
        })
        .collect()
}

/// The lines on which one of `parts` stands between characters that `fits` accepts.
fn lines_with<'a>(
    text: &'a str,
    parts: &'a [&'a str],
    fits: impl Fn(Option<char>, Option<char>) -> bool,
) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().filter_map(move |(index, line)| {
        let hit = |part: &&&str| {
            line.match_indices(**part)
                .any(|(at, _)| fits(line[..at].chars().next_back(), line[at + part.len()..].chars().next()))
        };
        parts.iter().find(hit).map(|part| (index + 1, *part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    #[track_caller]
    fn check_one(finding: Option<Finding>, expected: &[(usize, &str)]) {
        check(&finding.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn files_without_an_introduction_are_found() {
        check_one(missing_header("src/engine/mod.rs", "use x;\n//! late"), &[(1, "open with `//!`")]);
        check_one(missing_header("sdk-rust/src/lib.rs", "// x"), &[(1, "`//!`")]);
        check_one(missing_header("sdk-ts/src/index.ts", "export {};"), &[(1, "`//`")]);
        check_one(missing_header("dashboard/src/main.tsx", "export {};"), &[(1, "`//`")]);
        check_one(missing_header("migrations/sqlite/0001.sql", "CREATE"), &[(1, "`--`")]);
        check_one(missing_header("src/empty.rs", ""), &[(1, "`//!`")]);
    }

    #[test]
    fn introductions_are_seen() {
        check_one(missing_header("src/engine/mod.rs", "//! The engine."), &[]);
        check_one(missing_header("sdk-ts/src/index.ts", "/** The surface. */"), &[]);
        check_one(missing_header("examples/demo/demo.mjs", "#!/usr/bin/env node\n// The demo."), &[]);
        check_one(missing_header("docs/start.md", "Start"), &[]);
    }

    #[test]
    fn long_files_are_found() {
        check_one(too_long("src/x.rs", &"x\n".repeat(601)), &[(0, "has 601 lines")]);
        check_one(too_long("src/x.rs", &"x\n".repeat(600)), &[]);
        check_one(too_long("sdk-ts/package-lock.json", &"x\n".repeat(9000)), &[]);
    }

    #[test]
    fn machine_paths_are_found() {
        let (place, home) = (PLACES[0], PLACES[1]);
        check(&machine_paths("docs/a.md", &format!("x\nsee {place}y\n`{home}z`")), &[(2, place), (3, home)]);
        check(&machine_paths("docs/a.md", &format!("https://example.com{place}x and homework/")), &[]);
    }

    #[test]
    fn promises_are_found() {
        let word = PROMISES[0];
        check(&promises("src/a.rs", &format!("x\n// {word}: y")), &[(2, "do it now")]);
        check(&promises("src/a.rs", &format!("MAS{word}NS")), &[]);
        check(&promises("README.md", word), &[]);
    }
}
