//! `research-agent` serves the agent, at `PORT` (3000 if unset), and starts the stand-in for a model as a process of its own
//! unless `MODEL_URL` names a real one. `research-agent ask "Why do seams hold?"` asks, and waits for the report.

use std::process::Stdio;

use backstitch::{Client, Error};
use example_research_agent::{Llm, RESEARCH, app, model};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve().await,
        ["model"] => serve_model().await,
        ["ask", question] => ask(question).await,
        _ => Err(Error::terminal("Usage", "research-agent | research-agent ask <question> | research-agent model")),
    }
}

async fn serve() -> Result<(), Error> {
    let port = variable("PORT").unwrap_or_else(|| "3000".to_owned());
    let (url, _model) = match variable("MODEL_URL") {
        Some(url) => (url, None),
        None => start_model().await.map(|(url, child)| (url, Some(child)))?,
    };
    let llm = Llm::new(&url, variable("MODEL_KEY"), variable("MODEL_NAME").unwrap_or_else(|| "stand-in".to_owned()));
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("the agent is served at http://{} and thinks with {url}", listener.local_addr()?);
    axum::serve(listener, app(llm).router()).await?;
    Ok(())
}

async fn serve_model() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/v1", listener.local_addr()?);
    // Its standard input closes when the parent ends, however that ended.
    let parent = async { BufReader::new(tokio::io::stdin()).lines().next_line().await };
    tokio::select! {
        served = axum::serve(listener, model::router()) => served?,
        gone = parent => drop(gone?),
    }
    Ok(())
}

/// Starts the stand-in as a child on a free port; gives its address.
async fn start_model() -> Result<(String, Child), Error> {
    let mut child =
        Command::new(std::env::current_exe()?).arg("model").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let said = match child.stdout.take() {
        Some(stdout) => BufReader::new(stdout).lines().next_line().await?,
        None => None,
    };
    let url = said.ok_or_else(|| Error::new("NoModel", "the stand-in for a model ended while it started"))?;
    Ok((url, child))
}

async fn ask(question: &str) -> Result<(), Error> {
    let run = Client::new("research-rust").start(RESEARCH, question.to_owned()).send().await?;
    println!("asked, as {0}; answer with: backstitch signal {0} approve '\"ann\"', or reject", run.id());
    let report = run.result().await?;
    for note in report.notes {
        println!("- {} {}: {}", note.tool, note.argument, note.found);
    }
    println!("\n{}", report.report);
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
