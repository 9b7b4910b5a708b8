use backstitch::prelude::*;

#[backstitch::function]
async fn order(_ctx: Ctx, _input: u64) {}

fn main() {}
