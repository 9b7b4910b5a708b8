use backstitch::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
struct OrderCreated {
    id: String,
}

fn main() {}
