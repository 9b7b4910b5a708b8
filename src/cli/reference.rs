//! The reference of the command line as a page, made from the commands themselves.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::{Cli, Exit};
use crate::config::settings;

const HEAD: &str = "# The command line

Every command of `backstitch`. This page is made from the code; `BACKSTITCH_BLESS=1 cargo test --test it cli` writes it anew.

`backstitch dev` and `backstitch start` are servers. Every other command talks to one over its REST API. What a command was
asked for goes to the standard output, everything else to the standard error. With `--json` the result is in the API's own
shapes, one JSON document on a line, several for lists and for what is followed. Colours go away where the output is not a
terminal, and with `NO_COLOR`.

Settings, such as `--url`, can also be said by variables and in a file: [config.md](config.md).

## Exit codes

| code | meaning |
| --- | --- |
";

/// The page `docs/reference/cli.md`.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (_, code, meaning) in Exit::ALL {
        let _ = writeln!(page, "| {code} | {meaning} |");
    }
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands() {
        section(&mut page, command, "backstitch", 2);
    }
    page
}

fn section(page: &mut String, command: &Command, parent: &str, level: usize) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n{} `{name}`\n\n{}\n", "#".repeat(level), sentence(&about));
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage.trim_start_matches("Usage: ").lines().map(str::trim).collect();
    let _ = write!(page, "\n```text\n{}\n```\n", usage.join("\n"));
    let (of_settings, own): (Vec<&Arg>, Vec<&Arg>) = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help")
        .partition(|arg| settings::all().any(|setting| *arg.get_id() == *setting.key));
    if !own.is_empty() {
        page.push_str("\n| argument | meaning |\n| --- | --- |\n");
        own.iter().for_each(|arg| row(page, arg));
    }
    if !of_settings.is_empty() {
        let flags: Vec<String> =
            of_settings.iter().filter_map(|arg| Some(format!("`--{}`", arg.get_long()?))).collect();
        let _ = write!(page, "\nSettings: {}.\n", flags.join(", "));
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let examples = examples.trim_start_matches("Examples:").trim_start_matches("Example:");
        let lines: Vec<&str> = examples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let _ = write!(page, "\n```sh\n{}\n```\n", lines.join("\n"));
    }
    for inner in command.get_subcommands() {
        section(page, inner, &name, level + 1);
    }
}

fn row(page: &mut String, arg: &Arg) {
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values()).and_then(|names| names.first());
    let shown = match (arg.get_long(), arg.get_short(), value) {
        (None, _, value) => value.map_or_else(|| arg.get_id().to_string().to_uppercase(), ToString::to_string),
        (Some(long), short, value) => {
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            format!("{short}--{long}{value}")
        }
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let default: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    let hidden = default.is_empty() || !arg.get_action().takes_values();
    let default = if hidden { String::new() } else { format!(" Default: {}.", default.join(", ")) };
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let shown_values = arg.get_action().takes_values() && !possible.is_empty();
    let possible = if shown_values { format!(" One of {}.", possible.join(", ")) } else { String::new() };
    let _ = writeln!(page, "| `{shown}` | {}{possible}{default} |", sentence(&help.replace('|', "\\|")));
}

/// A text with an end.
fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with(['.', ':']) { text.to_owned() } else { format!("{text}.") }
}
