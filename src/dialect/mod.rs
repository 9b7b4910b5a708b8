//! Wire formats: what handlers are sent and what they answer, bytes to and from the words of `model`.
//!
//! It judges whether an answer is well formed; whether it is welcome is the engine's business. It opens no connection,
//! asks no clock, and copies people's JSON without parsing it.

pub mod native;
