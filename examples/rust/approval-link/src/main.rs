//! `approval-link` serves expenses and the page that decides on them, at `PORT` (3000 if unset). `approval-link request`
//! asks for money and waits for the decision.

use backstitch::{Client, Error};
use example_approval_link::{Expense, app, expense, page};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    if std::env::args().nth(1).as_deref() == Some("request") {
        let link_base = format!("http://127.0.0.1:{port}");
        let lamp = Expense { what: "a lamp for the office".to_owned(), cents: 4_900, link_base };
        println!("asked; follow the link that the app prints");
        println!("decision: {}", Client::new("expenses-rust").call(expense, lamp).await?);
        return Ok(());
    }
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("expenses are served at http://{}", listener.local_addr()?);
    axum::serve(listener, app().router().merge(page())).await?;
    Ok(())
}
