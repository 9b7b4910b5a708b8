use backstitch::prelude::*;

#[backstitch::function]
fn order(_ctx: Ctx, _input: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
