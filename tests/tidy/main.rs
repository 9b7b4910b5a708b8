//! The house rules, run as a test: what no compiler checks and no reviewer should have to remember.
//!
//! Reads the repository as text and tokens and compiles nothing of it, so it takes well under a second. Every rule is a
//! function of a path and a text, and is itself tested on planted violations beside it. A finding says where, and what to do
//! instead. To change a rule, change its table here and say why in the commit; the map it guards is
//! `docs/internals/architecture.md`.

// Clippy's allowances for tests (clippy.toml) then hold for helpers, too, and not only inside `#[test]`.
#![cfg(test)]

mod docs;
mod doors;
mod image;
mod repo;
mod rooms;
mod source;
mod text;

use repo::{Finding, Repo};

/// Fails with every finding of `rule`, one a line.
fn hold(rule: &str, findings: Vec<Finding>) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{rule}: {} found\n\n{}\n", lines.len(), lines.join("\n"));
}

#[test]
fn arrows_between_rooms_point_inward() {
    let repo = Repo::here();
    hold("arrows", repo.server().flat_map(rooms::arrows).collect());
}

#[test]
fn every_room_is_known() {
    let repo = Repo::here();
    hold("rooms", rooms::unknown(&repo.paths));
}

#[test]
fn the_inner_rings_know_plain_data_only() {
    let repo = Repo::here();
    let libraries = repo.libraries();
    hold("inner rings", repo.server().flat_map(|source| rooms::impurities(source, &libraries)).collect());
}

#[test]
fn every_library_has_one_door() {
    let repo = Repo::here();
    hold("doors", repo.server().flat_map(doors::wrong_doors).collect());
}

#[test]
fn sql_lives_in_sql_files() {
    let repo = Repo::here();
    hold("SQL", repo.server().flat_map(doors::sql_in_rust).collect());
}

#[test]
fn every_file_introduces_itself() {
    let repo = Repo::here();
    hold("headers", repo.texts().filter_map(|(path, text)| text::missing_header(path, text)).collect());
}

#[test]
fn files_stay_readable() {
    let repo = Repo::here();
    hold("length", repo.texts().filter_map(|(path, text)| text::too_long(path, text)).collect());
}

#[test]
fn nothing_refers_to_one_machine() {
    let repo = Repo::here();
    hold("places", repo.texts().flat_map(|(path, text)| text::machine_paths(path, text)).collect());
}

#[test]
fn nothing_is_left_for_later() {
    let repo = Repo::here();
    hold("promises", repo.texts().flat_map(|(path, text)| text::promises(path, text)).collect());
}

#[test]
fn links_in_documents_resolve() {
    let repo = Repo::here();
    let pages = repo.texts().filter(|(path, _)| path.ends_with(".md"));
    hold("links", pages.flat_map(|(path, text)| docs::broken_links(path, text, repo)).collect());
}

#[test]
fn the_architecture_page_lists_the_rooms() {
    let repo = Repo::here();
    hold("architecture page", docs::rooms_page(repo.text(docs::ROOMS_PAGE), &repo.paths));
}

#[test]
fn the_changelog_keeps_its_form() {
    let repo = Repo::here();
    hold("changelog", docs::changelog(repo.text("CHANGELOG.md")));
}

#[test]
fn the_image_copies_what_the_build_needs() {
    let repo = Repo::here();
    hold("image", image::copies(repo.text("Dockerfile"), repo.text(".dockerignore"), repo));
}

#[test]
fn the_image_runs_as_an_ordinary_user() {
    let repo = Repo::here();
    hold("image", image::user(repo.text("Dockerfile")));
}
