//! What several parts of the tests share.

pub(crate) mod fault;
pub(crate) mod fresh;
pub(crate) mod peer;
pub(crate) mod runs;
pub(crate) mod verified;
