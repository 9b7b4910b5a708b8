//! What is read: every text file of the repository that belongs to the project, and the Rust files also as tokens.
//!
//! Knows no rules. Build output and installed packages are not walked into; a file that is not UTF-8 is known by its path only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::source::Source;

/// One broken rule: where, and what to do instead.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// `line` counts from 1; 0 means the file as a whole.
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// The project's files, by path relative to its root, with `/` on every platform.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    /// Every file, text or not.
    pub(crate) paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
    sources: Vec<Source>,
}

/// Folders that hold what was built, installed or recorded, never what was written.
const NOT_OURS: &[&str] = &[".git", ".backstitch", "target", "node_modules", "dist", ".next", "coverage"];

static HERE: LazyLock<Repo> = LazyLock::new(|| {
    let mut repo = Repo::default();
    repo.walk(Path::new(env!("CARGO_MANIFEST_DIR")), "");
    let server = repo.texts.iter().filter(|(path, _)| is_server_rust(path));
    repo.sources =
        server.map(|(path, text)| Source::read(path, text).unwrap_or_else(|finding| panic!("{finding}"))).collect();
    assert!(!repo.sources.is_empty(), "no Rust files under src/: the rules would hold for nothing");
    repo
});

impl Repo {
    /// This repository, read once for all rules.
    pub(crate) fn here() -> &'static Self {
        &HERE
    }

    /// A repository of the given files, for the rules' own tests.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let texts: BTreeMap<String, String> =
            files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        Self { paths: texts.keys().cloned().collect(), texts, sources: Vec::new() }
    }

    /// The Rust files of the server.
    pub(crate) fn server(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Every text file with its path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// One file's text; empty if there is no such file, which the rules for that file then report.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    /// Whether `path` is a file or a folder with files in it.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let inside = self.paths.range(folder.clone()..).next().is_some_and(|next| next.starts_with(&folder));
        path.is_empty() || inside || self.paths.contains(path)
    }

    /// The names under which the server's code sees its libraries: the keys of `[dependencies]`, with `_` for `-`.
    pub(crate) fn libraries(&self) -> BTreeSet<String> {
        let manifest = self.text("Cargo.toml");
        let section =
            manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]")).unwrap_or_default();
        let keys = section.lines().filter_map(|line| line.split(['=', '.']).next());
        keys.map(str::trim)
            .filter(|key| !key.is_empty() && !key.starts_with('#'))
            .map(|key| key.replace('-', "_"))
            .collect()
    }

    fn walk(&mut self, folder: &Path, prefix: &str) {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("failed to read {}: {error}", folder.display()));
        for entry in entries.map(|entry| entry.expect("a folder that could be opened can be listed")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().expect("a listed entry has a type");
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                self.walk(&entry.path(), &format!("{path}/"));
            } else if kind.is_file() && !NOT_OURS.contains(&name.as_str()) {
                if let Ok(text) = String::from_utf8(fs::read(entry.path()).unwrap_or_default()) {
                    self.texts.insert(path.clone(), text);
                }
                self.paths.insert(path);
            }
        }
    }
}

fn is_server_rust(path: &str) -> bool {
    path.starts_with("src/") && path.ends_with(".rs")
}

/// Fails unless `findings` are exactly the expected ones: each is (line, a part of the message).
#[track_caller]
pub(crate) fn check(findings: &[Finding], expected: &[(usize, &str)]) {
    let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), expected.len(), "found: {found:#?}");
    for (finding, (line, part)) in findings.iter().zip(expected) {
        assert_eq!(finding.line, *line, "found: {found:#?}");
        assert!(finding.message.contains(part), "{part:?} is not in {:?}", finding.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_keys_of_one_section() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# why\nbytes = \"1\"\nhyper-util = { version = \"0.1\" }\n\n[dev-dependencies]\ninsta = \"1\"\n";
        let repo = Repo::planted(&[("Cargo.toml", manifest)]);
        assert_eq!(repo.libraries().into_iter().collect::<Vec<_>>(), ["bytes", "hyper_util"]);
    }

    #[test]
    fn folders_exist_through_their_files() {
        let repo = Repo::planted(&[("docs/start.md", ""), ("docs-old.md", "")]);
        assert!(repo.has("docs") && repo.has("docs/") && repo.has("docs/start.md"));
        assert!(!repo.has("doc") && !repo.has("docs/stop.md"));
    }
}
