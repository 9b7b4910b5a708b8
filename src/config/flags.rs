//! The flags of settings, made from their table, so that `--help` and the reference say the same.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

use super::Typed;
use super::settings::{CLIENT, DOCTOR, SERVER, Setting, VERIFY};

/// The flags of `dev` and `start`.
#[derive(Clone, Debug, Default)]
pub struct ServerFlags(pub Typed);

/// The flags of `doctor`, which looks at both ends.
#[derive(Clone, Debug, Default)]
pub struct DoctorFlags(pub Typed);

/// The flags of `verify`, which reads a data directory.
#[derive(Clone, Debug, Default)]
pub struct VerifyFlags(pub Typed);

/// The flags of commands that talk to a server.
#[derive(Clone, Debug, Default)]
pub struct ClientFlags(pub Typed);

fn augment(command: Command, settings: &[&'static Setting], heading: &'static str) -> Command {
    let with_flags = settings.iter().filter_map(|setting| Some((*setting, setting.flag()?)));
    command.args(with_flags.map(|(setting, flag)| arg(setting, flag).help_heading(heading)))
}

fn arg(setting: &'static Setting, flag: String) -> Arg {
    let default =
        if setting.default.contains(' ') { setting.default.to_owned() } else { format!("`{}`", setting.default) };
    let short = setting.what.split(". ").next().unwrap_or(setting.what).trim_end_matches('.');
    let arg = Arg::new(setting.key).long(flag).help(format!("{short} [{}]", setting.variable()));
    match setting.value {
        Some(value) => arg.value_name(value).action(ArgAction::Set).long_help(format!(
            "{}\n\n[variable: {}] [default: {default}]",
            setting.what,
            setting.variable()
        )),
        None => {
            arg.action(ArgAction::SetTrue).long_help(format!("{}\n\n[variable: {}]", setting.what, setting.variable()))
        }
    }
}

fn collect(matches: &ArgMatches, settings: &[&'static Setting]) -> Typed {
    let mut typed = Typed::default();
    for setting in settings.iter().filter(|setting| setting.flag().is_some()) {
        if setting.value.is_none() {
            if matches.get_flag(setting.key) {
                typed.set(setting, "true");
            }
        } else if let Some(text) = matches.get_one::<String>(setting.key) {
            typed.set(setting, text.clone());
        }
    }
    typed
}

macro_rules! flags {
    ($name:ident, $settings:ident, $heading:literal) => {
        impl FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<$name, Error> {
                Ok($name(collect(matches, $settings)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
                *self = $name(collect(matches, $settings));
                Ok(())
            }
        }

        impl Args for $name {
            fn augment_args(command: Command) -> Command {
                augment(command, $settings, $heading)
            }

            fn augment_args_for_update(command: Command) -> Command {
                augment(command, $settings, $heading)
            }
        }
    };
}

flags!(ServerFlags, SERVER, "Settings");
flags!(ClientFlags, CLIENT, "Settings");
flags!(DoctorFlags, DOCTOR, "Settings");
flags!(VerifyFlags, VERIFY, "Settings");
