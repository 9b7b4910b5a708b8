//! Every setting: its names, its default and what it does. One row is all that it takes to add one.

/// A setting. Its key gives its other names: `log.level` is `--log-level`, `BACKSTITCH_LOG_LEVEL`, and `level` in the
/// section `[log]` of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file, with dots between sections.
    pub key: &'static str,
    /// What kind of text it takes; nothing for a switch that is on or off.
    pub value: Option<&'static str>,
    /// Its default as it would be written, or in words.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub what: &'static str,
    /// Where it may be set.
    pub places: Places,
}

/// Where a setting may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Flag, variable and file.
    All,
    /// Variable and file: whoever lists processes can read command lines.
    Secret,
    /// Flag and variable: it says where the file is.
    BeforeFile,
}

impl Setting {
    /// Its flag, without the dashes.
    pub fn flag(&self) -> Option<String> {
        (self.places != Places::Secret).then(|| self.key.replace(['.', '_'], "-"))
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("BACKSTITCH_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// Whether it may stand in the file.
    pub fn in_file(&self) -> bool {
        self.places != Places::BeforeFile
    }
}

/// The file with settings.
pub static CONFIG: Setting = Setting {
    key: "config",
    value: Some("PATH"),
    default: "`backstitch.toml` in the working directory, if it is there",
    what: "The file with settings. A file that is named has to exist.",
    places: Places::BeforeFile,
};

/// Where the server listens.
pub static LISTEN: Setting = Setting {
    key: "listen",
    value: Some("ADDRESS"),
    default: "127.0.0.1:8484",
    what: "The address and port where the server listens. Port 0 takes a free one. Other addresses than loopback need \
           `allow_unauthenticated_network`.",
    places: Places::All,
};

/// The consent to listen where others can reach the server.
pub static ALLOW_NETWORK: Setting = Setting {
    key: "allow_unauthenticated_network",
    value: None,
    default: "false",
    what: "Allow `listen` to be an address that other machines reach. The API has no keys yet: whoever reaches the port \
           can start, read and cancel every run.",
    places: Places::All,
};

/// The address under which others know the server.
pub static PUBLIC_URL: Setting = Setting {
    key: "public_url",
    value: Some("URL"),
    default: "none",
    what: "The address under which clients know this server, when a proxy stands in front of it. Requests for its host \
           are taken although the server listens on loopback.",
    places: Places::All,
};

/// The web pages that may read streams.
pub static CORS_ORIGIN: Setting = Setting {
    key: "cors_origin",
    value: Some("ORIGINS"),
    default: "none",
    what: "The origins whose web pages may read streams and results, with a subscription token, such as \
           `https://app.example.com`; several with commas between them, `*` for all. Nothing else is open to them.",
    places: Places::All,
};

/// The environment's name.
pub static ENVIRONMENT: Setting = Setting {
    key: "environment",
    value: Some("NAME"),
    default: "`dev` for `backstitch dev`, `production` for `backstitch start`",
    what: "The name of this server's environment. It is part of every signature.",
    places: Places::All,
};

/// Where the data are.
pub static DATA_DIR: Setting = Setting {
    key: "data_dir",
    value: Some("PATH"),
    default: "`.backstitch` for `backstitch dev`, `backstitch-data` for `backstitch start`",
    what: "The directory with the database. One server at a time uses it; it is made if it is not there.",
    places: Places::All,
};

/// What a commit waits for.
pub static DURABILITY: Setting = Setting {
    key: "durability",
    value: Some("full|relaxed"),
    default: "full",
    what: "What a commit waits for. `full`: the disk; what was acknowledged survives a loss of power. `relaxed`: the \
           operating system only; faster, and the last moments are gone when the machine loses power. For tests.",
    places: Places::All,
};

/// Which addresses handlers may have.
pub static EGRESS: Setting = Setting {
    key: "egress",
    value: Some("POLICY"),
    default: "open",
    what: "Which addresses the server may call. `open`: all. Otherwise a comma-separated list of `publicOnly` (the \
           public internet) and networks such as `10.1.0.0/16`. Set it when people you do not trust may register apps.",
    places: Places::All,
};

/// The key that signs requests to handlers.
pub static KEY: Setting = Setting {
    key: "key",
    value: Some("KEY"),
    default: "none: requests to handlers are not signed, and only handlers with `BACKSTITCH_DEV=1` take them",
    what: "The key that signs requests to handlers, `bsk_…` or `bssk_…`; `backstitch keys new` makes one. It is a secret, \
           so it has no flag.",
    places: Places::Secret,
};

/// A file with the key.
pub static KEY_FILE: Setting = Setting {
    key: "key_file",
    value: Some("PATH"),
    default: "none",
    what: "A file that holds the key and nothing else, for places that mount secrets as files. Not beside `key`.",
    places: Places::All,
};

/// How much is logged.
pub static LOG_LEVEL: Setting = Setting {
    key: "log.level",
    value: Some("LEVEL"),
    default: "`warn` for `backstitch dev`, `info` for `backstitch start`",
    what: "How much is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`; or a list such as \
           `info,backstitch_server::dispatch=debug`.",
    places: Places::All,
};

/// How log lines look.
pub static LOG_FORMAT: Setting = Setting {
    key: "log.format",
    value: Some("text|json"),
    default: "text",
    what: "How log lines look: `text` for people, `json` for programs. They go to the standard error.",
    places: Places::All,
};

/// Where clients find the server.
pub static URL: Setting = Setting {
    key: "url",
    value: Some("URL"),
    default: "http://127.0.0.1:8484",
    what: "The server that commands talk to.",
    places: Places::All,
};

/// What `dev` and `start` take.
pub static SERVER: &[&Setting] = &[
    &CONFIG,
    &LISTEN,
    &ALLOW_NETWORK,
    &PUBLIC_URL,
    &CORS_ORIGIN,
    &ENVIRONMENT,
    &DATA_DIR,
    &DURABILITY,
    &EGRESS,
    &KEY,
    &KEY_FILE,
    &LOG_LEVEL,
    &LOG_FORMAT,
];

/// What commands that talk to a server take.
pub static CLIENT: &[&Setting] = &[&CONFIG, &URL];

/// What `verify` takes.
pub static VERIFY: &[&Setting] = &[&CONFIG, &DATA_DIR];

/// What `doctor` takes.
pub static DOCTOR: &[&Setting] = &[&CONFIG, &URL, &LISTEN, &ALLOW_NETWORK, &DATA_DIR];

/// Every setting once.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    SERVER.iter().copied().chain([&URL])
}

/// Variables of the same prefix that are not settings of this program: those of SDKs, and those that tests set.
pub static FOREIGN_VARIABLES: &[(&str, &str)] = &[
    (
        "BACKSTITCH_DEV",
        "apps: `1` takes unsigned requests while the app has no key; `backstitch dev -- COMMAND` sets it",
    ),
    ("BACKSTITCH_VERSION", "apps: what the deployment calls itself instead of the hash of its manifest"),
    ("BACKSTITCH_BLESS", "tests: `1` writes expected files anew"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_key() {
        assert_eq!(LOG_LEVEL.flag().as_deref(), Some("log-level"));
        assert_eq!(LOG_LEVEL.variable(), "BACKSTITCH_LOG_LEVEL");
        assert_eq!(KEY.flag(), None);
        assert!(!CONFIG.in_file() && KEY.in_file());
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let mut variables: Vec<String> = all().map(Setting::variable).collect();
        variables.sort();
        let count = variables.len();
        variables.dedup();
        assert_eq!(variables.len(), count);
    }
}
