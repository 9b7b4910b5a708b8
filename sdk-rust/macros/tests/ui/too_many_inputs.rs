use backstitch::prelude::*;

#[backstitch::function]
async fn order(_ctx: Ctx, _input: u64, _more: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
