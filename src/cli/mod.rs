//! The command line: one file for each subcommand. `dev` and `start` are servers; everything else is a client of the REST
//! API and could be written by anyone. This is the only room that prints.
//!
//! Results go to the standard output, everything else to the standard error. With `--json` a result is one JSON document
//! (or one a line, while something is followed), in the API's own shapes. Exit codes are in [`exit`].

mod acts;
mod apps;
mod call;
mod cancel;
mod chaos;
mod child;
mod client;
mod clock;
mod completions;
mod deployments;
mod dev;
mod discovery;
mod doctor;
mod exit;
mod explain;
mod fork;
mod functions;
mod guard;
mod input;
mod jobs;
mod keys;
mod kill;
mod labels;
mod moving;
mod news;
mod objects;
mod pause;
mod reference;
mod resume;
mod run;
mod runs;
mod sample;
mod schedules;
mod screen;
mod send;
mod serve;
mod settle;
mod signal;
mod start;
mod style;
mod table;
mod target;
mod update;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;
pub use reference::reference;

/// Durable functions over plain HTTP.
#[derive(Debug, Parser)]
#[command(
    name = "backstitch",
    version,
    about = "Durable functions over plain HTTP",
    long_about = "Durable functions over plain HTTP.\n\n\
        `backstitch dev` runs a server on your machine and finds your app; `backstitch start` runs one where it matters. \
        `backstitch verify` reads a data directory, and \
        every other command talks to a server.",
    after_help = exit::HELP,
    disable_help_subcommand = true,
    styles = style::HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Start(start::Start),
    Send(send::Send),
    Call(call::Call),
    Runs(runs::Runs),
    Run(run::Run),
    Explain(explain::Explain),
    Signal(signal::Signal),
    Update(update::Update),
    Cancel(cancel::Cancel),
    Kill(kill::Kill),
    Pause(pause::Pause),
    Resume(resume::Resume),
    Move(moving::Move),
    Retry(fork::Retry),
    Fork(fork::Fork),
    Settle(settle::Settle),
    Jobs(jobs::Jobs),
    Schedules(schedules::Schedules),
    Apps(apps::Apps),
    Functions(functions::Functions),
    Objects(objects::Objects),
    Clock(clock::Clock),
    Keys(keys::Keys),
    Doctor(doctor::Doctor),
    Verify(verify::Verify),
    Completions(completions::Completions),
    #[command(hide = true)]
    Guard(guard::Guard),
}

/// Parses the process's arguments, runs the command, says what went wrong, and returns the exit code.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            // What cannot be printed cannot be reported either.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { ExitCode::SUCCESS };
        }
    };
    match execute(command) {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error).into(),
    }
}

fn execute(command: Command) -> anyhow::Result<Exit> {
    let mut runtime = match command {
        Command::Dev(_) | Command::Start(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Dev(command) => command.execute().await,
            Command::Start(command) => command.execute().await,
            Command::Send(command) => command.execute().await,
            Command::Call(command) => command.execute().await,
            Command::Runs(command) => command.execute().await,
            Command::Run(command) => command.execute().await,
            Command::Explain(command) => command.execute().await,
            Command::Signal(command) => command.execute().await,
            Command::Update(command) => command.execute().await,
            Command::Cancel(command) => command.execute().await,
            Command::Kill(command) => command.execute().await,
            Command::Pause(command) => command.execute().await,
            Command::Resume(command) => command.execute().await,
            Command::Move(command) => command.execute().await,
            Command::Retry(command) => command.execute().await,
            Command::Fork(command) => command.execute().await,
            Command::Settle(command) => command.execute().await,
            Command::Schedules(command) => command.execute().await,
            Command::Jobs(command) => command.execute().await,
            Command::Apps(command) => command.execute().await,
            Command::Functions(command) => command.execute().await,
            Command::Objects(command) => command.execute().await,
            Command::Clock(command) => command.execute().await,
            Command::Keys(command) => command.execute(),
            Command::Doctor(command) => command.execute().await,
            Command::Verify(command) => command.execute().await,
            Command::Completions(command) => command.execute(),
            Command::Guard(command) => command.execute(),
        }
    })
}
