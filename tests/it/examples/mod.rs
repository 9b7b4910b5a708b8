//! The examples as a user runs them: the real server and each example as processes of their own, in TypeScript and in Rust,
//! driven over HTTP. `make test` builds them first; what is missing here says how to build it.

mod approval_link;
mod demo;
mod nightly_import;
mod order_saga;
mod research_agent;
mod shopping_cart;
mod slow_model;
mod subscription;
mod world;
