use backstitch::prelude::*;

#[backstitch::function(timeouts(run = "1.5h"))]
async fn order(_ctx: Ctx, _input: u64) -> Result<(), Error> {
    Ok(())
}

fn main() {}
