//! The egress guard, from the outside: whatever a URL looks like, nothing that the policy refuses is dialled.

use std::sync::Arc;

use backstitch_server::dispatch::{DiscoveryError, Egress, Invoker, target_url};

use super::world::{answers_done, first, said, world};
use crate::support::peer::{Peer, response};
use crate::support::runs::deployment;

/// Ways to write an address that a server must not be talked into calling. `PORT` is a listening peer's.
pub(super) const FORBIDDEN: [&str; 33] = [
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://127。0。0。1:PORT/",
    "http://①②⑦.0.0.1:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::ffff:a9fe:a9fe]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fd00::1]:PORT/",
    "http://169.254.169.254:PORT/latest/meta-data/",
    "http://0xa9fea9fe:PORT/",
    "http://10.0.0.1:PORT/",
    "http://192.168.1.1:PORT/",
    "http://100.64.0.1:PORT/",
];

#[tokio::test]
async fn no_spelling_gets_around_the_policy() {
    let peer = Peer::start(answers_done).await;
    let world = world(Egress::public_only(), None, Vec::new());
    for form in FORBIDDEN {
        let url = form.replace("PORT", &peer.address.port().to_string());
        // As it was registered, and as a manifest or an old row could say it.
        let error = world.discovery.discover(&url, &[], None).await.expect_err(form);
        let text = error.to_string();
        assert!(matches!(error, DiscoveryError::NotReached { .. }), "{form}: {text}");
        // Not every resolver knows `localhost.` with its dot.
        let words = ["the egress policy allows no address", "the name localhost. cannot be resolved"];
        assert!(words.iter().any(|words| text.contains(words)), "{form}: {text}");
        let answer = world.invoker.invoke(first(), Arc::new(deployment(&url))).await;
        let refused = ["egress policy allows no address", "cannot be called", "cannot be resolved"];
        assert!(refused.iter().any(|words| said(&answer).contains(words)), "{form}: {}", said(&answer));
    }
    assert!(peer.received().is_empty() && peer.connections() == 0);
}

#[tokio::test]
async fn a_listed_network_may_be_called() {
    let peer = Peer::start(answers_done).await;
    let listed = world("publicOnly,127.0.0.0/8".parse().unwrap(), None, Vec::new());
    let answer = listed.invoker.invoke(first(), Arc::new(deployment(&peer.url()))).await;
    assert!(said(&answer).starts_with("ops"), "{}", said(&answer));
    // A name is judged by what it stands for.
    let url = peer.url().replace("127.0.0.1", "localhost");
    let answer = listed.invoker.invoke(first(), Arc::new(deployment(&url))).await;
    assert!(said(&answer).starts_with("ops"), "{}", said(&answer));
}

#[tokio::test]
async fn refusals_do_not_show_what_a_name_stands_for() {
    let world = world(Egress::public_only(), None, Vec::new());
    let error = world.discovery.discover("http://localhost:9/", &[], None).await.expect_err("refused").to_string();
    assert!(error.contains("localhost") && !error.contains("127.0.0.1") && !error.contains("::1"), "{error}");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inner = Peer::start(answers_done).await;
    let to = inner.url();
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let outer = Peer::start(move |_| response(status, &[("location", &to)], "")).await;
        let world = world(Egress::Open, None, Vec::new());
        let answer = world.invoker.invoke(first(), Arc::new(deployment(&outer.url()))).await;
        assert!(said(&answer).contains("Redirects are not followed"), "{}", said(&answer));
        let error = world.discovery.discover(&outer.url(), &[], None).await.expect_err("refused");
        assert!(matches!(error, DiscoveryError::Redirect { .. }), "{error}");
    }
    assert!(inner.received().is_empty());
}

#[test]
fn urls_with_credentials_or_other_schemes_are_not_taken() {
    for url in
        ["http://a@127.0.0.1/", "http://a:b@c/", "file:///etc/passwd", "gopher://x/", "unix:/var/run/docker.sock"]
    {
        assert!(target_url(url).is_err(), "{url} was taken");
    }
}
