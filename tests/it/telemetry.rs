//! The names of log fields: those in the code and those in the table are the same.

use std::collections::BTreeSet;
use std::path::Path;

use backstitch_server::telemetry::fields::FIELDS;
use proc_macro2::{TokenStream, TokenTree};

const MACROS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

fn sources(dir: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

/// The fields of every log line in `tokens`.
fn fields(tokens: TokenStream, found: &mut BTreeSet<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (n, tree) in trees.iter().enumerate() {
        let TokenTree::Group(group) = tree else { continue };
        let before: Vec<String> = trees[n.saturating_sub(5)..n].iter().map(ToString::to_string).collect();
        let is_log = matches!(before.as_slice(), [.., root, a, b, level, bang]
            if root == "tracing" && a == ":" && b == ":" && MACROS.contains(&level.as_str()) && bang == "!");
        if is_log {
            found.extend(of_one(group.stream()));
        }
        fields(group.stream(), found);
    }
}

/// The fields of one log line: what stands between commas before the message.
fn of_one(tokens: TokenStream) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut in_value = false;
    for tree in tokens {
        let text = tree.to_string();
        match text.as_str() {
            "," => {
                names.push(String::new());
                in_value = false;
            }
            "=" => in_value = true,
            "%" | "?" if !in_value => {}
            _ if in_value => {}
            _ => names.last_mut().unwrap().push_str(&text),
        }
    }
    names.retain(|name| !name.is_empty() && !name.contains('"'));
    names
}

#[test]
fn fields_of_a_line_are_found() {
    let mut found = BTreeSet::new();
    fields(
        "fn f() { tracing::warn!(run.id = %run, n = a(b, c), ?error, %x, \"it = {n}, so\"); }".parse().unwrap(),
        &mut found,
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["error", "n", "run.id", "x"]);
}

#[test]
fn the_table_lists_every_field_and_no_other() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let mut used = BTreeSet::new();
    for text in texts {
        fields(text.parse().unwrap(), &mut used);
    }
    let listed: BTreeSet<String> = FIELDS.iter().map(|field| field.name.to_owned()).collect();
    assert_eq!(listed.len(), FIELDS.len(), "a field is listed twice");
    let unknown: Vec<_> = used.difference(&listed).collect();
    assert!(unknown.is_empty(), "{unknown:?}: use a name of src/telemetry/fields.rs, or add it there with its meaning");
    let unused: Vec<_> = listed.difference(&used).collect();
    assert!(unused.is_empty(), "{unused:?}: no line has these; remove them from src/telemetry/fields.rs");
}
