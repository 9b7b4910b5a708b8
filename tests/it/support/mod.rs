//! What several parts of the tests share.

pub(crate) mod fault;
