//! What was said where, as text: flags, variables, the file. Nothing is interpreted here; whoever knows what a setting
//! means asks for it, and learns where its value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::settings::{self, CONFIG, Setting};
use super::{ConfigError, file};

/// What was typed on the command line, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed(BTreeMap<&'static str, String>);

impl Typed {
    /// Notes that a flag was given.
    pub fn set(&mut self, setting: &'static Setting, text: impl Into<String>) {
        self.0.insert(setting.key, text.into());
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A key in the file.
    File(PathBuf, &'static str),
    /// Nobody said anything.
    Default(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(flag) => write!(f, "--{flag}"),
            Source::Variable(variable) => write!(f, "the environment variable {variable}"),
            Source::File(path, key) => write!(f, "`{key}` in {}", path.display()),
            Source::Default(key) => write!(f, "the default of `{key}`"),
        }
    }
}

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

/// All that was said.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    typed: Typed,
    environment: BTreeMap<String, String>,
    file: Option<(PathBuf, BTreeMap<&'static str, String>)>,
}

impl Layers {
    /// Reads the process's environment and the file. Paths are relative to the working directory.
    ///
    /// # Errors
    /// When a variable is not text, when the file cannot be read, or when it has keys that are no settings.
    #[expect(clippy::disallowed_methods, reason = "the one door to the environment")]
    pub fn load(typed: Typed) -> Result<Layers, ConfigError> {
        let ours = std::env::vars_os().filter_map(|(name, text)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("BACKSTITCH_"))?;
            Some(text.into_string().map(|text| (name.clone(), text)).map_err(|_| ConfigError::Variable(name)))
        });
        Layers::new(typed, ours.collect::<Result<_, _>>()?, Path::new(file::NAME))
    }

    /// The same with an environment that is given, and a file that is read if it is there and no other is named.
    ///
    /// # Errors
    /// When the file cannot be read, or when it has keys that are no settings.
    pub fn new(typed: Typed, environment: BTreeMap<String, String>, usual_file: &Path) -> Result<Layers, ConfigError> {
        let mut layers = Layers { typed, environment, file: None };
        layers.file = match layers.find(&CONFIG) {
            Some(named) => Some(file::read(Path::new(&named.value))?),
            None if usual_file.exists() => Some(file::read(usual_file)?),
            None => None,
        };
        Ok(layers)
    }

    /// What was said about a setting. An empty variable says nothing.
    pub(super) fn find(&self, setting: &'static Setting) -> Option<Found<String>> {
        if let (Some(text), Some(flag)) = (self.typed.0.get(setting.key), setting.flag()) {
            return Some(Found { value: text.clone(), source: Source::Flag(flag) });
        }
        let variable = setting.variable();
        if let Some(text) = self.environment.get(&variable).filter(|text| !text.is_empty()) {
            return Some(Found { value: text.clone(), source: Source::Variable(variable) });
        }
        let (path, keys) = self.file.as_ref()?;
        let text = keys.get(setting.key)?;
        Some(Found { value: text.clone(), source: Source::File(path.clone(), setting.key) })
    }

    /// What was said about a setting, in its meaning.
    pub(super) fn read<T>(
        &self,
        setting: &'static Setting,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<Found<T>>, ConfigError> {
        let Some(Found { value, source }) = self.find(setting) else { return Ok(None) };
        match meaning(&value) {
            Ok(value) => Ok(Some(Found { value, source })),
            Err(reason) => Err(ConfigError::Value { source_of: source, reason }),
        }
    }

    /// The same, with a default that is written like a value.
    pub(super) fn read_or<T>(
        &self,
        setting: &'static Setting,
        default: &str,
        meaning: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Found<T>, ConfigError> {
        if let Some(found) = self.read(setting, &meaning)? {
            return Ok(found);
        }
        let source = Source::Default(setting.key);
        match meaning(default) {
            Ok(value) => Ok(Found { value, source }),
            Err(reason) => Err(ConfigError::Value { source_of: source, reason }),
        }
    }

    /// Variables that look like settings of ours and are none: mistyped ones, most likely.
    pub fn unknown_variables(&self) -> Vec<String> {
        let known = |name: &String| {
            settings::all().any(|setting| setting.variable() == *name)
                || settings::FOREIGN_VARIABLES.iter().any(|(foreign, _)| foreign == name)
        };
        self.environment.keys().filter(|name| !known(name)).cloned().collect()
    }
}

/// The meaning of a text whose type reads itself.
pub(super) fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The meaning of a switch.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("`{text}` is neither `true` nor `false`")),
    }
}
