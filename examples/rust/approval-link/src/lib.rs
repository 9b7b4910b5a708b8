//! An expense that somebody approves by following a link. The wait has a token; whoever holds it may settle the wait, once,
//! without a key: so it can stand in a mail. The page behind the link changes nothing until a button is pressed.

mod page;

use backstitch::prelude::*;
use serde::{Deserialize, Serialize};

pub use page::page;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expense {
    pub what: String,
    pub cents: u64,
    /// Where the page is, as the reader of the mail reaches it.
    pub link_base: String,
}

/// What the page behind the link sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decision {
    pub approved: bool,
}

/// The app that serves expenses.
pub fn app() -> App {
    App::new("expenses-rust").function(expense)
}

/// Resolves to `approved`, `declined` or `expired`.
#[backstitch::function]
pub async fn expense(ctx: Ctx, expense: Expense) -> Result<String, Error> {
    let mut decision = ctx.awakeable::<Decision>("decision").timeout(7.days());
    // Taking the token registers the wait: nobody can answer too early.
    let link = format!("{}/decide?token={}", expense.link_base, decision.token()?);
    ctx.run("ask", |_| mail("boss@example.com", &expense.what, &link)).await?;
    let status = match decision.await? {
        Some(Decision { approved: true }) => "approved",
        Some(Decision { approved: false }) => "declined",
        None => "expired",
    };
    ctx.run("tell", |_| mail("ann@example.com", &expense.what, status)).await?;
    Ok(status.to_owned())
}

/// A stand-in for mail: prints what would be sent, and gives the text.
async fn mail(to: &str, subject: &str, body: &str) -> Result<String, Error> {
    println!("mail to {to}: {subject}\n  {body}");
    Ok(body.to_owned())
}
