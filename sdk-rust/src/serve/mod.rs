//! Hosts: each turns its requests into the endpoint's and the endpoint's replies into its own.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "lambda")]
mod lambda;
#[cfg(feature = "axum")]
mod late;

#[cfg(feature = "axum")]
pub use self::axum::Service;
#[cfg(feature = "lambda")]
pub use lambda_http::Error as LambdaError;
