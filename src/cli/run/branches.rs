//! The shape of the picture: entries below their scopes, one branch for each scope whatever the order in which parallel
//! scopes moved, and the strokes before each line. It knows nothing of what the lines say.

use std::collections::HashMap;

/// Where the root's children hang.
const ROOT: usize = 0;

/// A scope, or an entry in one.
struct Node<'a, T> {
    /// The name of a scope, or an entry's own id.
    name: &'a str,
    entry: Option<T>,
    children: Vec<usize>,
}

/// Entries, sorted below their scopes.
pub(super) struct Branches<'a, T> {
    nodes: Vec<Node<'a, T>>,
    scopes: HashMap<(usize, &'a str), usize>,
}

impl<'a, T> Branches<'a, T> {
    /// Sorts entries by their ids, whose segments are parted by `/`. Scopes and entries stay in the order in which each first
    /// came.
    pub(super) fn new(entries: impl Iterator<Item = (&'a str, T)>) -> Branches<'a, T> {
        let root = Node { name: "", entry: None, children: Vec::new() };
        let mut branches = Branches { nodes: vec![root], scopes: HashMap::new() };
        for (id, entry) in entries {
            let (path, own) = id.rsplit_once('/').map_or((None, id), |(path, own)| (Some(path), own));
            let scope =
                path.into_iter().flat_map(|path| path.split('/')).fold(ROOT, |at, name| branches.scope(at, name));
            branches.add(scope, own, Some(entry));
        }
        branches
    }

    fn scope(&mut self, parent: usize, name: &'a str) -> usize {
        if let Some(known) = self.scopes.get(&(parent, name)) {
            return *known;
        }
        let scope = self.add(parent, name, None);
        self.scopes.insert((parent, name), scope);
        scope
    }

    fn add(&mut self, parent: usize, name: &'a str, entry: Option<T>) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node { name, entry, children: Vec::new() });
        self.nodes[parent].children.push(index);
        index
    }

    /// Draws every node: `text` says what stands in its line, from its name and its entry. `more` says whether something
    /// comes below the last one.
    pub(super) fn draw(&self, more: bool, text: impl Fn(&str, Option<&T>) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        // A stack and no recursion: ids may have more than a hundred segments.
        let mut open = vec![(ROOT, String::new(), true)];
        while let Some((index, before, last)) = open.pop() {
            let node = &self.nodes[index];
            let below = if index == ROOT {
                String::new()
            } else {
                lines.push(format!(
                    "{before}{} {}",
                    if last { "└─" } else { "├─" },
                    text(node.name, node.entry.as_ref())
                ));
                format!("{before}{}", if last { "   " } else { "│  " })
            };
            for (n, child) in node.children.iter().rev().enumerate() {
                let last = n == 0 && !(index == ROOT && more);
                open.push((*child, below.clone(), last));
            }
        }
        lines
    }
}
