//! The integration tests: one binary whose tree mirrors the product's. They go through public doors only.
#![cfg(test)]

mod api;
mod auditor;
mod auth;
mod catalog;
mod cli;
mod config;
mod dialect;
mod dispatch;
mod e2e;
mod engine;
mod examples;
mod processor;
mod store;
mod support;
mod telemetry;
