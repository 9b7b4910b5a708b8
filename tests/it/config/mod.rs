//! Settings: which place wins, what each says, and what is said about those that cannot be used.

use std::collections::BTreeMap;
use std::path::Path;

use backstitch_server::auth::SigningKey;
use backstitch_server::config::{Client, Layers, Mode, Server, Typed, reference, settings};
use backstitch_server::dispatch::Egress;
use backstitch_server::store::sqlite::Durability;
use tempfile::TempDir;

use crate::support::fresh;

/// What is said where.
#[derive(Default)]
struct Said<'a> {
    flags: &'a [(&'static settings::Setting, &'a str)],
    variables: &'a [(&'a str, &'a str)],
    file: Option<&'a str>,
}

impl Said<'_> {
    fn layers(&self, dir: &TempDir) -> Result<Layers, String> {
        let mut typed = Typed::default();
        self.flags.iter().for_each(|(setting, text)| typed.set(setting, *text));
        let file = dir.path().join("backstitch.toml");
        if let Some(text) = self.file {
            std::fs::write(&file, text).unwrap();
        }
        let variables: BTreeMap<String, String> =
            self.variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Layers::new(typed, variables, &file).map_err(|error| error.to_string())
    }

    fn server(&self) -> Result<Server, String> {
        let dir = tempfile::tempdir().unwrap();
        Server::read(&self.layers(&dir)?, Mode::Start).map_err(|error| error.to_string())
    }
}

#[track_caller]
fn refused(said: &Said<'_>, words: &[&str]) {
    let error = said.server().expect_err("it was taken");
    for word in words {
        assert!(error.contains(word), "`{error}` does not say `{word}`");
    }
}

#[test]
fn nothing_said_gives_the_defaults() {
    let start = Said::default().server().unwrap();
    assert_eq!(start.listen.address, "127.0.0.1:8484".parse().unwrap());
    assert_eq!((start.listen.public_url, start.calls.key), (None, None));
    assert_eq!((&*start.environment, start.storage.durability), ("production", Durability::Full));
    assert_eq!(start.storage.data_dir, Path::new("backstitch-data"));
    assert_eq!(start.calls.egress, Egress::Open);
    let dev = Server::read(&Layers::default(), Mode::Dev).unwrap();
    assert_eq!((&*dev.environment, dev.storage.data_dir.as_path()), ("dev", Path::new(".backstitch")));
    assert_ne!(dev.log.levels, start.log.levels);
    assert_eq!(Client::read(&Layers::default()).unwrap().url, "http://127.0.0.1:8484/");
}

#[test]
fn the_first_place_wins() {
    let file = Some("environment = \"file\"");
    let variables = &[("BACKSTITCH_ENVIRONMENT", "variable")][..];
    let flags = &[(&settings::ENVIRONMENT, "flag")][..];
    let environment = |said: Said<'_>| said.server().unwrap().environment.to_string();
    assert_eq!(environment(Said { flags, variables, file }), "flag");
    assert_eq!(environment(Said { variables, file, ..Said::default() }), "variable");
    assert_eq!(environment(Said { file, ..Said::default() }), "file");
    let empty = &[("BACKSTITCH_ENVIRONMENT", "")][..];
    assert_eq!(environment(Said { variables: empty, file, ..Said::default() }), "file");
}

#[test]
fn every_setting_can_be_said_in_the_file() {
    let key = SigningKey::shared([7; 32]);
    let file = format!(
        "listen = \"0.0.0.0:1\"\nallow_unauthenticated_network = true\npublic_url = \"https://hooks.example/x\"\n\
         environment = \"staging\"\ndata_dir = \"/d\"\ndurability = \"relaxed\"\negress = \"publicOnly,10.0.0.0/8\"\n\
         key = \"{}\"\nurl = \"https://b.example\"\n[log]\nlevel = \"debug\"\nformat = \"json\"\n",
        key.reveal()
    );
    let said = Said { file: Some(&file), ..Said::default() };
    let server = said.server().unwrap();
    assert_eq!(server.listen.address, "0.0.0.0:1".parse().unwrap());
    assert_eq!(server.listen.public_url.as_deref(), Some("https://hooks.example/x"));
    assert_eq!((server.storage.data_dir.as_path(), server.storage.durability), (Path::new("/d"), Durability::Relaxed));
    assert_eq!((server.calls.egress, server.calls.key), ("publicOnly,10.0.0.0/8".parse().unwrap(), Some(key)));
    assert_eq!(server.log.levels, "debug".parse().unwrap());
    let client = Client::read(&said.layers(&tempfile::tempdir().unwrap()).unwrap()).unwrap();
    assert_eq!(client.url, "https://b.example/");
}

#[test]
fn a_named_file_is_read_and_has_to_exist() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.toml");
    std::fs::write(&path, "environment = \"named\"").unwrap();
    let named = path.display().to_string();
    let said =
        Said { variables: &[("BACKSTITCH_CONFIG", &named)], file: Some("environment = \"usual\""), ..Said::default() };
    assert_eq!(&*said.server().unwrap().environment, "named");
    refused(
        &Said { flags: &[(&settings::CONFIG, "/nowhere/x.toml")], ..Said::default() },
        &["/nowhere/x.toml", "No such file"],
    );
}

#[test]
fn files_that_cannot_be_used_say_where() {
    let file = |text| Said { file: Some(text), ..Said::default() };
    refused(&file("listen = "), &["backstitch.toml", "line 1"]);
    refused(&file("lisen = \"x\""), &["there is no setting `lisen`"]);
    refused(&file("data-dir = \"x\""), &["no setting `data-dir`; `data_dir` may be meant"]);
    refused(&file("level = \"info\""), &["no setting `level`; `log.level` may be meant"]);
    refused(&file("[log]\nlevels = \"info\""), &["no setting `log.levels`"]);
    refused(&file("config = \"x\""), &["no setting `config`"]);
    refused(&file("environment = 1"), &["`environment` has to be a string in quotes, and is integer"]);
    refused(&file("allow_unauthenticated_network = \"yes\""), &["has to be true or false, and is string"]);
}

#[test]
fn values_that_cannot_be_used_say_where_they_stand() {
    let flag = |setting, text| Said { flags: Box::leak(Box::new([(setting, text)])), ..Said::default() };
    refused(&flag(&settings::LISTEN, "8484"), &["--listen", "127.0.0.1:8484"]);
    refused(&flag(&settings::LISTEN, "example.com:1"), &["--listen", "no address with a port"]);
    refused(&flag(&settings::PUBLIC_URL, "example.com"), &["--public-url", "no URL"]);
    refused(&flag(&settings::PUBLIC_URL, "ftp://example.com"), &["no http or https address"]);
    refused(&flag(&settings::PUBLIC_URL, "https://a:b@example.com"), &["neither user and password"]);
    refused(&flag(&settings::DURABILITY, "none"), &["--durability", "neither `full` nor `relaxed`"]);
    refused(&flag(&settings::EGRESS, "some"), &["--egress", "`some`", "publicOnly"]);
    refused(&flag(&settings::ENVIRONMENT, "a\nb"), &["--environment", "control characters"]);
    refused(&flag(&settings::LOG_LEVEL, "loud"), &["--log-level", "loud"]);
    refused(&flag(&settings::LOG_FORMAT, "xml"), &["--log-format", "xml"]);
    refused(&flag(&settings::KEY_FILE, "/nowhere/key"), &["--key-file", "/nowhere/key"]);
    let variable = |name, text| Said { variables: Box::leak(Box::new([(name, text)])), ..Said::default() };
    refused(&variable("BACKSTITCH_LOG_FORMAT", "xml"), &["the environment variable BACKSTITCH_LOG_FORMAT", "xml"]);
    refused(&variable("BACKSTITCH_ALLOW_UNAUTHENTICATED_NETWORK", "maybe"), &["`maybe` is neither"]);
    refused(&Said { file: Some("durability = \"none\""), ..Said::default() }, &["`durability` in ", "backstitch.toml"]);
}

#[test]
fn keys_are_not_repeated_in_messages() {
    let variable = |text| Said { variables: Box::leak(Box::new([("BACKSTITCH_KEY", text)])), ..Said::default() };
    let error = variable("bsk_s3cret").server().unwrap_err();
    assert!(error.contains("BACKSTITCH_KEY") && !error.contains("s3cret"), "{error}");
    refused(&variable("bspk_A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"), &["only verifies"]);
    refused(&variable("bsk_a,bsk_b"), &["holds several keys"]);
}

#[test]
fn the_key_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let key = SigningKey::private([3; 32]);
    std::fs::write(&path, format!("{}\n", key.reveal())).unwrap();
    let path = path.display().to_string();
    let flags = &[(&settings::KEY_FILE, path.as_str())][..];
    assert_eq!(Said { flags, ..Said::default() }.server().unwrap().calls.key, Some(key.clone()));
    let both = Said { flags, variables: &[("BACKSTITCH_KEY", &key.reveal())], ..Said::default() };
    refused(&both, &["the environment variable BACKSTITCH_KEY together with --key-file"]);
}

#[test]
fn only_loopback_without_consent() {
    let listen = |address| Said { flags: Box::leak(Box::new([(&settings::LISTEN, address)])), ..Said::default() };
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1"] {
        assert!(listen(address).server().is_ok(), "{address}");
    }
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
        refused(&listen(address), &["--listen", "whoever reaches the port", "--allow-unauthenticated-network"]);
    }
    let consent = Said {
        flags: &[(&settings::LISTEN, "0.0.0.0:1")],
        variables: &[("BACKSTITCH_ALLOW_UNAUTHENTICATED_NETWORK", "1")],
        ..Said::default()
    };
    assert!(consent.server().is_ok());
}

#[test]
fn mistyped_variables_are_noticed() {
    let said = Said { variables: &[("BACKSTITCH_LISTENN", "x"), ("BACKSTITCH_DEV", "1")], ..Said::default() };
    assert_eq!(said.server().unwrap().unknown_variables, ["BACKSTITCH_LISTENN"]);
}

#[test]
fn the_reference_is_fresh() {
    fresh::check("docs/reference/config.md", &reference());
}
