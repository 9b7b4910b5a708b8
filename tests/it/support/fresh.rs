//! Pages that are made from the code. `BACKSTITCH_BLESS=1` writes them anew.

use std::path::Path;

/// Fails when the page in the repository is not what the code makes now.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says so, not the configuration")]
pub(crate) fn check(page: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("BACKSTITCH_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{page} is not what the code makes now: run the test with BACKSTITCH_BLESS=1, and look at the difference"
    );
}
