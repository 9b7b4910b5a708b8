//! How a handler knows that it is us, and how we know a handler that reports and whoever settles an awakeable, or reads a
//! stream. Keys and
//! secrets come in as arguments and never go into a log: their `Debug` shows nothing of them. It reads no configuration
//! and opens no connection.

mod key;
mod secrets;
mod signature;
mod subscription;

pub use key::{KeyError, SigningKey};
pub use secrets::{AwakeableError, InvocationTokenError, RunSecrets};
pub use signature::{Claims, DISCOVER, SignError, Signer};
pub use subscription::{SUBSCRIPTION_PREFIX, Subscription, SubscriptionError};
