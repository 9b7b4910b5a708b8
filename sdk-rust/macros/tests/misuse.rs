//! Misuse of the macros: each gets an error that says what to do. The cases are in `ui/`, with what the compiler says.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
