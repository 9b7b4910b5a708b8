use backstitch::prelude::*;

#[backstitch::function(id = "order", retries = 5)]
async fn order(_ctx: Ctx, _input: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
