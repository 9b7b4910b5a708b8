//! Durable functions for Backstitch: the Rust SDK.
