//! What a file of handlers needs: `use backstitch::prelude::*;`

pub use crate::{
    App, Callable, Ctx, DurationExt, Error, Event, Function, FunctionOptions, FunctionRef, Outgoing, Received, Retry,
    Step, Timeouts,
};
pub use crate::{join, select, try_join};
