//! Every guide shows how it is done in Rust, and the doctests compile it.

use std::path::PathBuf;

#[test]
fn every_guide_is_compiled() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let compiled = std::fs::read_to_string(root.join("src/guides.rs")).unwrap();
    let mut guides = 0;
    for guide in std::fs::read_dir(root.join("../docs/guides")).unwrap() {
        let path = guide.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Pictures, and a page about what is seen in a browser.
        if !name.ends_with(".md") || name == "dashboard.md" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\n```rust\n"), "{name} shows no Rust");
        assert!(compiled.contains(&format!("docs/guides/{name}")), "{name} is not compiled: name it in src/guides.rs");
        guides += 1;
    }
    assert!(guides >= 10, "only {guides} guides were found");
}
