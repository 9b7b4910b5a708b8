//! The reference of settings as a page, made from their table.

use std::fmt::Write as _;

use super::settings::{self, Setting};

const HEAD: &str = "# Settings

What `backstitch` can be told. This page is made from the code; `BACKSTITCH_BLESS=1 cargo test --test it config` writes it anew.

A setting can be said in four places. The first that has it wins:

1. a flag on the command line,
2. an environment variable,
3. the file `backstitch.toml` in the working directory, or the one that `--config` names,
4. the default.

An empty variable says nothing. Relative paths are relative to the working directory. A key of the file that is no setting is
an error, so that a mistyped one is noticed; variables that begin with `BACKSTITCH_` and are no settings are reported by
`backstitch doctor` and in the server's log.

A file looks like this:

```toml
listen = \"127.0.0.1:8484\"
environment = \"production\"
data_dir = \"/var/lib/backstitch\"
egress = \"publicOnly\"
key_file = \"/run/secrets/backstitch-key\"

[log]
level = \"info\"
format = \"json\"
```
";

/// The page `docs/reference/config.md`.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "The server", "For `backstitch dev` and `backstitch start`.", settings::SERVER);
    section(&mut page, "Commands", "For every command that talks to a server.", &[&settings::URL]);
    page.push_str("\n## Variables of apps\n\nThese have the same prefix and are read by others.\n\n| variable | read by |\n| --- | --- |\n");
    for (variable, what) in settings::FOREIGN_VARIABLES {
        let _ = writeln!(page, "| `{variable}` | {what} |");
    }
    page
}

fn section(page: &mut String, title: &str, about: &str, settings: &[&Setting]) {
    let _ = write!(page, "\n## {title}\n\n{about}\n");
    for setting in settings {
        let _ = write!(page, "\n### `{}`\n\n{}\n\n", setting.key, setting.what);
        page.push_str("| flag | variable | in the file | default |\n| --- | --- | --- | --- |\n");
        let flag = match (setting.flag(), setting.value) {
            (Some(flag), Some(value)) => format!("`--{flag} {}`", value.replace('|', "\\|")),
            (Some(flag), None) => format!("`--{flag}`"),
            (None, _) => "none".to_owned(),
        };
        let in_file = if setting.in_file() { format!("`{}`", setting.key) } else { "no".to_owned() };
        let default =
            if setting.default.contains(' ') { setting.default.to_owned() } else { format!("`{}`", setting.default) };
        let _ = writeln!(page, "| {flag} | `{}` | {in_file} | {default} |", setting.variable());
    }
}
