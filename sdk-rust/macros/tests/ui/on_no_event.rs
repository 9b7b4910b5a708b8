use backstitch::prelude::*;

#[backstitch::function(on = String)]
async fn order(_ctx: Ctx, _input: String) -> Result<(), Error> {
    Ok(())
}

fn main() {}
