//! Rules on the container image, which is built on the forge only: what it copies exists, is all that the build reads, and
//! does not run as root.

use crate::repo::{Finding, Repo};

/// `COPY` lines against the repository, the build's needs and the ignore file.
pub(crate) fn copies(dockerfile: &str, ignore: &str, repo: &Repo) -> Vec<Finding> {
    let copied = copied(dockerfile);
    let mut findings = Vec::new();
    for (line, path) in &copied {
        if !repo.has(path) {
            findings.push(Finding::new(
                "Dockerfile",
                *line,
                format!("copies {path:?}, which does not exist: remove it or correct its name"),
            ));
        }
        if !ignore.lines().any(|kept| kept.trim_end_matches('/') == format!("!{path}")) {
            findings.push(Finding::new(".dockerignore", 0, format!("add !{path}: the Dockerfile copies it")));
        }
    }
    for need in needs(repo) {
        if !copied.iter().any(|(_, path)| need == *path || need.starts_with(&format!("{path}/"))) {
            findings.push(Finding::new("Dockerfile", 0, format!("copy {need:?}, too: the build reads it")));
        }
    }
    findings
}

/// The last `USER` has to be an ordinary one.
pub(crate) fn user(dockerfile: &str) -> Vec<Finding> {
    let user = dockerfile.lines().rev().find_map(|line| line.strip_prefix("USER "));
    let root = user.is_none_or(|user| ["root", "0"].contains(&user.split(':').next().unwrap_or_default().trim()));
    let finding = || Finding::new("Dockerfile", 0, "runs as root: end with USER and an ordinary user");
    root.then(finding).into_iter().collect()
}

/// What `COPY` takes from the repository, with its line; what it takes from another stage is left out.
fn copied(dockerfile: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in dockerfile.lines().enumerate() {
        let Some(rest) = line.strip_prefix("COPY ").filter(|rest| !rest.contains("--from=")) else { continue };
        let mut words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        words.pop();
        found.extend(words.into_iter().map(|word| (index + 1, word.trim_end_matches('/').to_owned())));
    }
    found
}

/// What cargo reads to build the server: manifests, every member of the workspace, and files included into the code.
fn needs(repo: &Repo) -> Vec<String> {
    let mut needs: Vec<String> = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "src"].map(str::to_owned).into();
    let members = repo.text("Cargo.toml").lines().find_map(|line| line.trim().strip_prefix("members = ["));
    let names = members.unwrap_or_default().split(',').map(|name| name.trim_matches([' ', '"', ']']));
    needs.extend(names.filter(|name| !name.is_empty() && *name != ".").map(str::to_owned));
    needs.extend(repo.server().flat_map(|source| {
        let ups = source.strings.iter().filter(|item| !item.test && item.what.starts_with("../"));
        ups.filter_map(|item| included(&source.path, &item.what, repo))
    }));
    needs.extend(["build.rs".to_owned()].into_iter().filter(|script| repo.has(script)));
    needs.sort();
    needs.dedup();
    needs
}

/// The file outside `src/` that a relative path in a source file means, if there is one.
fn included(from: &str, relative: &str, repo: &Repo) -> Option<String> {
    let mut folder: Vec<&str> = from.split('/').collect();
    folder.pop();
    let ups = relative.split('/').take_while(|part| *part == "..").count();
    let base = folder.get(..folder.len().checked_sub(ups)?)?;
    let target = base.iter().copied().chain(relative.split('/').skip(ups)).collect::<Vec<_>>().join("/");
    (base.is_empty() && repo.has(&target)).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::check;

    const BUILT: &[(&str, &str)] = &[
        ("Cargo.toml", "members = [\".\", \"sdk\"]\n"),
        ("Cargo.lock", ""),
        ("rust-toolchain.toml", ""),
        ("src/lib.rs", ""),
        ("sdk/Cargo.toml", ""),
    ];

    #[test]
    fn copies_of_nothing_and_omissions_are_found() {
        let repo = Repo::planted(BUILT);
        let ignore = "*\n!Cargo.toml\n!Cargo.lock\n!rust-toolchain.toml\n!src/\n!sdk\n";
        let good = "COPY Cargo.toml Cargo.lock rust-toolchain.toml ./\nCOPY src/ src/\nCOPY sdk sdk\nCOPY --from=build /x /y\n";
        check(&copies(good, ignore, &repo), &[]);
        check(&copies(&format!("{good}COPY ui ui\n"), &format!("{ignore}!ui\n"), &repo), &[(5, "does not exist")]);
        check(&copies(&good.replace("COPY sdk sdk\n", ""), ignore, &repo), &[(0, "copy \"sdk\", too")]);
        check(&copies(good, &ignore.replace("!sdk\n", ""), &repo), &[(0, "add !sdk")]);
    }

    #[test]
    fn included_files_are_followed_out_of_the_sources() {
        let repo = Repo::planted(&[("migrations/sqlite/0001.sql", ""), ("src/store/mod.rs", "")]);
        assert_eq!(
            included("src/store/mod.rs", "../../migrations/sqlite/0001.sql", &repo).as_deref(),
            Some("migrations/sqlite/0001.sql")
        );
        assert_eq!(included("src/store/sqlite/mod.rs", "../rows.sql", &repo), None);
        assert_eq!(included("src/store/mod.rs", "../../../../x", &repo), None);
    }

    #[test]
    fn images_that_run_as_root_are_found() {
        check(&user("FROM a\nUSER backstitch\n"), &[]);
        check(&user("FROM a\n"), &[(0, "ordinary user")]);
        check(&user("USER app\nUSER root:root\n"), &[(0, "ordinary user")]);
    }
}
