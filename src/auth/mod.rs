//! How a handler knows that it is us, and how we know whoever settles an awakeable. Keys and secrets come in as arguments
//! and never go into a log: their `Debug` shows nothing of them. It reads no configuration and opens no connection.

mod awakeable;
mod key;
mod signature;

pub use awakeable::{AwakeableError, RunSecrets};
pub use key::{KeyError, SigningKey};
pub use signature::{Claims, DISCOVER, SignError, Signer};
