//! Rules on documents: links resolve, the architecture page and `src/` list the same rooms, the changelog keeps its form.

use std::collections::BTreeSet;

use crate::repo::{Finding, Repo};
use crate::rooms;

/// The page that has a heading for every room.
pub(crate) const ROOMS_PAGE: &str = "docs/internals/architecture.md";

/// What a room's heading bears while the room is designed but not built.
const NOT_BUILT: &str = "(to come)";

/// The parts of a release in the changelog.
const CHANGES: &[&str] = &["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"];

/// Links to files, folders and headings of this repository that are not there.
pub(crate) fn broken_links(path: &str, text: &str, repo: &Repo) -> Vec<Finding> {
    links(text)
        .into_iter()
        .filter_map(|(line, link)| Some(Finding::new(path, line, broken(path, &link, repo)?)))
        .collect()
}

/// What is wrong with one link, if anything.
fn broken(from: &str, link: &str, repo: &Repo) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let Some(target) = resolve(from, file) else {
        return Some(format!("`{link}` leaves the repository: link to a file in it, or to a full address"));
    };
    if !repo.has(&target) {
        return Some(format!("`{link}` leads nowhere: there is no {target}"));
    }
    let missing = target.ends_with(".md") && !anchor.is_empty() && !anchors(repo.text(&target)).contains(anchor);
    missing.then(|| format!("`{link}` leads nowhere: {target} has no heading for #{anchor}"))
}

/// The path that `link`, written in the file `from`, means; nothing if it climbs out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    (!link.starts_with('/')).then(|| parts.join("/"))
}

/// The targets of a document's links, with their lines; code is left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        for (at, _) in content.match_indices("](") {
            let target = content[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push((line, target.trim_matches(['<', '>']).to_owned()));
        }
        let definition = content.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition.filter(|(name, _)| !name.contains(']')) {
            found.push((line, target.split(' ').next().unwrap_or_default().to_owned()));
        }
    }
    found
}

/// The lines that are neither in a code block nor, by parts, in code spans.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_block = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        let outside_spans = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        (!in_block && !fence).then_some((index + 1, outside_spans))
    })
}

/// The anchors that a forge gives a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_block = false;
    let mut found = BTreeSet::new();
    for line in text.lines() {
        in_block ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if in_block || !line.starts_with('#') || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase().replace(' ', "-");
        found.insert(kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
    }
    found
}

/// Differences between the page's room headings (``### `engine/` ``) and the rooms under `src/`.
pub(crate) fn rooms_page(page: &str, paths: &BTreeSet<String>) -> Vec<Finding> {
    let built = rooms::present(paths);
    let mut listed = BTreeSet::new();
    let mut findings = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let Some((name, rest)) = line.strip_prefix("### `").and_then(|rest| rest.split_once('`')) else { continue };
        let name = name.trim_end_matches('/').trim_end_matches(".rs");
        listed.insert(name.to_owned());
        let message = match (built.contains(name), rest.contains(NOT_BUILT)) {
            (true, true) => format!("`{name}` is built: take {NOT_BUILT} away and let the paragraph say how it is"),
            (false, false) => {
                format!("`{name}` is not under src/: remove its paragraph, or mark the heading {NOT_BUILT}")
            }
            _ => continue,
        };
        findings.push(Finding::new(ROOMS_PAGE, index + 1, message));
    }
    let silent = built.difference(&listed);
    findings.extend(silent.map(|name| {
        Finding::new(
            ROOMS_PAGE,
            0,
            format!("src/ has the room `{name}`: give it a heading ### `{name}/` and a paragraph with its invariants"),
        )
    }));
    findings
}

/// Departures from the form of Keep a Changelog.
pub(crate) fn changelog(text: &str) -> Vec<Finding> {
    let path = "CHANGELOG.md";
    let mut findings = Vec::new();
    let mut releases = 0;
    for (index, line) in text.lines().enumerate() {
        if let Some(part) = line.strip_prefix("### ").filter(|part| !CHANGES.contains(part)) {
            findings.push(Finding::new(path, index + 1, format!("{part:?} is none of {}", CHANGES.join(", "))));
        }
        let Some(release) = line.strip_prefix("## ") else { continue };
        let dated = release
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("] - "))
            .is_some_and(|(_, date)| date.len() == 10);
        if releases == 0 && release != "[Unreleased]" {
            findings.push(Finding::new(
                path,
                index + 1,
                "what comes next is collected first: add ## [Unreleased] above",
            ));
        } else if releases > 0 && !dated {
            findings.push(Finding::new(path, index + 1, "a release is written ## [1.2.3] - 2026-01-31"));
        }
        releases += 1;
    }
    if releases == 0 {
        findings.push(Finding::new(path, 0, "has no ## [Unreleased]: add it, with what changed for users"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    fn links_of(text: &str) -> Vec<Finding> {
        let files = [("README.md", "# One\n## Two `x` words!\n"), ("docs/start.md", ""), ("docs/guides/a.md", text)];
        broken_links("docs/guides/a.md", text, &Repo::planted(&files))
    }

    #[test]
    fn links_to_nowhere_are_found() {
        check(&links_of("x\n[a](b.md)"), &[(2, "there is no docs/guides/b.md")]);
        check(&links_of("[a](../../../b.md) and [b](/b.md)"), &[(1, "leaves"), (1, "leaves")]);
        check(&links_of("[a](../../README.md#three)"), &[(1, "no heading for #three")]);
        check(&links_of("[a]: ../stop.md"), &[(1, "docs/stop.md")]);
        check(&links_of("# Here\n[a](#there)"), &[(2, "#there")]);
    }

    #[test]
    fn links_that_resolve_are_fine() {
        check(
            &links_of(
                "# Here\n[a](../start.md) [b](../../README.md#two-x-words) [c](..) [d](https://x.y/z) [e](#here) ![f](../start.md \"t\")",
            ),
            &[],
        );
        check(&links_of("`[a](b.md)`\n```\n[a](b.md)\n```"), &[]);
    }

    #[test]
    fn page_and_rooms_are_compared() {
        let paths = ["src/lib.rs", "src/engine/mod.rs", "src/limits.rs", "src/store/mod.rs"].map(str::to_owned).into();
        let page = "### `engine/`\n### `limits.rs`\n### `flow/` (to come)\n### `store/` (to come)\n### `ghost/`\n";
        check(&rooms_page(page, &paths), &[(4, "`store` is built"), (5, "`ghost` is not under src/")]);
        check(&rooms_page("### `engine/`\n### `store/`", &paths), &[(0, "has the room `limits`")]);
    }

    #[test]
    fn changelogs_out_of_form_are_found() {
        check(&changelog(""), &[(0, "[Unreleased]")]);
        check(&changelog("## [1.0.0] - 2026-01-31"), &[(1, "[Unreleased]")]);
        check(&changelog("## [Unreleased]\n### News\n## 1.0"), &[(2, "News"), (3, "a release is written")]);
        check(&changelog("## [Unreleased]\n### Added\n## [1.0.0] - 2026-01-31\n### Fixed"), &[]);
    }
}
