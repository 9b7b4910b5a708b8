//! Reads one Rust file as tokens and keeps what the rules ask for: the paths it names, the macros it calls, its string
//! literals, and for each the line and whether it is test code.
//!
//! Tokens rather than text, so that comments, strings and formatting cannot fool a rule; tokens rather than types, so that
//! nothing needs compiling. What an alias hides from it (`use std::time::Instant as Watch`) is clippy's to find.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use crate::repo::Finding;

/// What the rules know of a Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    /// Every path that is named, `use` trees flattened: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
    pub(crate) names: Vec<Item<Vec<String>>>,
    /// Every macro that is called, by its last name.
    pub(crate) macros: Vec<Item<String>>,
    /// Every string literal, its escapes as written; documentation is left out.
    pub(crate) strings: Vec<Item<String>>,
    /// Every attribute's identifiers, in order: `#[arg(long, env = "X")]` gives `arg long env`.
    pub(crate) attributes: Vec<Item<Vec<String>>>,
}

/// Something found in a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item<T> {
    pub(crate) what: T,
    pub(crate) line: usize,
    pub(crate) test: bool,
}

impl Source {
    /// Reads `text` as Rust; an error says that it is none.
    pub(crate) fn read(path: &str, text: &str) -> Result<Self, Finding> {
        let tokens: TokenStream = text.parse().map_err(|error| {
            Finding::new(path, 0, format!("failed to read as Rust ({error}); fix it with cargo check first"))
        })?;
        let source = Self { path: path.to_owned(), names: vec![], macros: vec![], strings: vec![], attributes: vec![] };
        let mut reader = Reader { source, module: module_of(path) };
        reader.tokens(tokens, is_test_file(path));
        Ok(reader.source)
    }

    /// The room this file belongs to: `src/engine/step.rs` and `src/engine.rs` are `engine`; `lib.rs` and `main.rs` are in none.
    pub(crate) fn room(&self) -> Option<String> {
        module_of(&self.path).into_iter().next()
    }
}

/// The path of the module that a file is, from the crate's root: `src/store/sqlite/mod.rs` is `store::sqlite`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let names: Vec<String> = inner.split('/').filter(|name| *name != "mod").map(str::to_owned).collect();
    if names == ["lib"] || names == ["main"] { vec![] } else { names }
}

/// Unit tests that have a file of their own.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

struct Reader {
    source: Source,
    /// The module that is being read, inline ones included.
    module: Vec<String>,
}

impl Reader {
    fn tokens(&mut self, tokens: TokenStream, mut test: bool) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        // Set by `#[cfg(test)]` and `#[test]`, until the item they stand on has ended.
        let mut item_is_test = false;
        let mut at = 0;
        while at < trees.len() {
            if let Some((inner, attribute, next)) = attribute_at(&trees, at) {
                let marks_test = self.attribute(attribute, test || item_is_test);
                test |= inner && marks_test;
                item_is_test |= !inner && marks_test;
                at = next;
                continue;
            }
            let in_test = test || item_is_test;
            match &trees[at] {
                TokenTree::Ident(name) if name == "mod" && module_at(&trees, at).is_some() => {
                    let (name, body) = module_at(&trees, at).expect("just looked");
                    self.module.push(name);
                    self.tokens(body, in_test);
                    self.module.pop();
                    item_is_test = false;
                    at += 3;
                }
                TokenTree::Ident(_) if at == 0 || !is_punct(&trees[at - 1], '.') => {
                    at = self.path(&trees, at, &[], in_test)
                }
                TokenTree::Group(group) => {
                    self.tokens(group.stream(), in_test);
                    item_is_test &= group.delimiter() != Delimiter::Brace;
                    at += 1;
                }
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let Some(text) = string_of(&literal.to_string()) {
                        self.source.strings.push(Item { what: text, line, test: in_test });
                    }
                    at += 1;
                }
                tree => {
                    item_is_test &= !is_punct(tree, ';');
                    at += 1;
                }
            }
        }
    }

    /// Reads the path that starts at `at`, below `prefix`, and returns where it ends.
    fn path(&mut self, trees: &[TokenTree], mut at: usize, prefix: &[String], test: bool) -> usize {
        let line = trees[at].span().start().line;
        let mut names = prefix.to_vec();
        names.push(trees[at].to_string());
        at += 1;
        while is_path_separator(trees, at) {
            match trees.get(at + 2) {
                Some(TokenTree::Ident(name)) => names.push(name.to_string()),
                Some(TokenTree::Punct(star)) if star.as_char() == '*' => names.push("*".into()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.use_group(group.stream(), &names, test);
                    return at + 3;
                }
                // A turbofish, whose types are read as paths of their own.
                _ => break,
            }
            at += 3;
        }
        if trees.get(at).is_some_and(|tree| is_punct(tree, '!'))
            && !trees.get(at + 1).is_some_and(|tree| is_punct(tree, '='))
        {
            let name = names.last().cloned().unwrap_or_default();
            self.source.macros.push(Item { what: name, line, test });
        }
        self.source.names.push(Item { what: self.rooted(names), line, test });
        at
    }

    /// Reads the comma-separated paths of a `use` tree's braces.
    fn use_group(&mut self, tokens: TokenStream, prefix: &[String], test: bool) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        for branch in trees.split(|tree| is_punct(tree, ',')) {
            match branch.first() {
                Some(TokenTree::Ident(name)) if name == "self" => {
                    let line = name.span().start().line;
                    self.source.names.push(Item { what: self.rooted(prefix.to_vec()), line, test });
                }
                Some(TokenTree::Ident(_)) => drop(self.path(branch, 0, prefix, test)),
                _ => {}
            }
        }
    }

    /// Turns `super::…` into `crate::…` where it leaves the module it stands in; other paths stay as they are.
    fn rooted(&self, names: Vec<String>) -> Vec<String> {
        let supers = names.iter().take_while(|name| *name == "super").count();
        if supers == 0 {
            return names;
        }
        let base = self.module[..self.module.len().saturating_sub(supers)].iter().cloned();
        std::iter::once("crate".to_owned()).chain(base).chain(names.into_iter().skip(supers)).collect()
    }

    /// Notes an attribute and says whether it makes its item test code.
    fn attribute(&mut self, tokens: TokenStream, test: bool) -> bool {
        let words = idents(tokens.clone());
        let line = tokens.clone().into_iter().next().map_or(0, |tree| tree.span().start().line);
        let first = words.first().map_or("", String::as_str);
        if first == "doc" {
            return false;
        }
        let says = |wanted: &str| words.iter().any(|word| word == wanted);
        // `#[test]`, `#[tokio::test]`, and `#[cfg(test)]` in its forms.
        let marks_test = match first {
            "cfg" => says("test") && !says("not"),
            _ => words.last().is_some_and(|last| last == "test"),
        };
        self.source.attributes.push(Item { what: words, line, test });
        self.tokens(tokens, test || marks_test);
        marks_test
    }
}

/// The attribute at `at`: whether it is an inner one, its content, and where it ends.
fn attribute_at(trees: &[TokenTree], at: usize) -> Option<(bool, TokenStream, usize)> {
    if !is_punct(trees.get(at)?, '#') {
        return None;
    }
    let inner = is_punct(trees.get(at + 1)?, '!');
    match trees.get(at + 1 + usize::from(inner))? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            Some((inner, group.stream(), at + 2 + usize::from(inner)))
        }
        _ => None,
    }
}

/// The name and body of the inline module whose `mod` is at `at`.
fn module_at(trees: &[TokenTree], at: usize) -> Option<(String, TokenStream)> {
    match (trees.get(at + 1)?, trees.get(at + 2)?) {
        (TokenTree::Ident(name), TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
            Some((name.to_string(), body.stream()))
        }
        _ => None,
    }
}

fn is_punct(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_path_separator(trees: &[TokenTree], at: usize) -> bool {
    let joint = matches!(trees.get(at), Some(TokenTree::Punct(colon)) if colon.as_char() == ':' && colon.spacing() == Spacing::Joint);
    joint && trees.get(at + 1).is_some_and(|tree| is_punct(tree, ':'))
}

fn idents(tokens: TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    for tree in tokens {
        match tree {
            TokenTree::Ident(name) => names.push(name.to_string()),
            TokenTree::Group(group) => names.extend(idents(group.stream())),
            _ => {}
        }
    }
    names
}

/// What stands between the quotes of a string literal; nothing for numbers, characters and bytes.
fn string_of(literal: &str) -> Option<String> {
    let unprefixed = literal.strip_prefix('r').unwrap_or(literal).trim_matches('#');
    unprefixed.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let source = Source::read(path, text).unwrap();
        let names = source.names.iter().filter(|item| item.what.len() > 1);
        let found: Vec<String> = names
            .map(|item| format!("{}{}:{}", if item.test { "test " } else { "" }, item.line, item.what.join("::")))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn use_trees_are_flattened() {
        check(
            "src/a.rs",
            "use crate::{\n  x::Y,\n  z::{self, W as V},\n};\nuse q::*;",
            &["2:crate::x::Y", "3:crate::z", "3:crate::z::W", "5:q::*"],
        );
    }

    #[test]
    fn paths_in_code_types_and_attributes_count() {
        let text = "#[derive(a::B)]\nfn f(x: c::D) -> Vec<e::F> { x.g::<h::I>(); j::k::<l::M>(); n::o!(p::q) }";
        check("src/a.rs", text, &["1:a::B", "2:c::D", "2:e::F", "2:h::I", "2:j::k", "2:l::M", "2:n::o", "2:p::q"]);
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        check("src/a.rs", "/// See [`a::b`].\n// c::d\nconst X: &str = r#\"e::f\"#; /* g::h */", &[]);
    }

    #[test]
    fn super_is_resolved() {
        check(
            "src/engine/step.rs",
            "use super::super::store::Row; use super::Key;",
            &["1:crate::store::Row", "1:crate::engine::Key"],
        );
        check("src/engine/mod.rs", "use super::store::Row;", &["1:crate::store::Row"]);
        check("src/engine.rs", "mod tests { use super::super::store::Row; }", &["1:crate::store::Row"]);
    }

    #[test]
    fn test_code_is_told_apart() {
        check(
            "src/a.rs",
            "#[cfg(test)]\nuse a::b;\nuse c::d;\n#[cfg(test)]\nmod tests { use e::f; }\nuse g::h;",
            &["test 2:a::b", "3:c::d", "test 5:e::f", "6:g::h"],
        );
        check(
            "src/a.rs",
            "#[tokio::test]\nasync fn x() { a::b() }\n#[cfg(not(test))]\nfn y() { c::d() }",
            &["test 1:tokio::test", "test 2:a::b", "4:c::d"],
        );
        check("src/a/tests.rs", "use a::b;", &["test 1:a::b"]);
    }

    #[test]
    fn macros_strings_and_attributes_are_kept() {
        let source =
            Source::read("src/a.rs", "#[arg(long, env = \"X\")]\nfn f() { std::println!(\"a\\n\", b != c) }").unwrap();
        assert_eq!(source.macros.iter().map(|item| item.what.as_str()).collect::<Vec<_>>(), ["println"]);
        assert_eq!(source.strings.iter().map(|item| item.what.as_str()).collect::<Vec<_>>(), ["X", "a\\n"]);
        assert_eq!(source.attributes[0].what, ["arg", "long", "env"]);
    }

    #[test]
    fn files_know_their_rooms() {
        let room = |path| Source::read(path, "").unwrap().room();
        assert_eq!(room("src/store/sqlite/mod.rs").as_deref(), Some("store"));
        assert_eq!(room("src/limits.rs").as_deref(), Some("limits"));
        assert_eq!(room("src/lib.rs"), None);
    }
}
