//! The attribute macros of the Rust SDK.
