use backstitch::prelude::*;

#[backstitch::function]
async fn child(_ctx: Ctx, _input: u64) -> Result<(), Error> {
    Ok(())
}

async fn parent(ctx: Ctx) -> Result<(), Error> {
    ctx.call(child, "seven").await
}

fn main() {
    let _ = parent;
}
