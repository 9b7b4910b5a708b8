//! Hosts: each turns its requests into the endpoint's and the endpoint's replies into its own.

mod axum;
mod late;

pub use self::axum::Service;
