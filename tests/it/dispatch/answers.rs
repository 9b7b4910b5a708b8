//! Everything that can come back from an invocation, and what it means.

use std::time::Duration;

use backstitch_server::model::{Answer, Span, Terminal};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::world::{answers_done, assert_said, done, invoke, invoke_at};
use crate::support::peer::{Peer, SDK, Say, response};
use crate::support::runs::deployment;

#[tokio::test]
async fn an_answer_is_taken() {
    let answer = invoke(answers_done).await;
    let Answer::Ops { seen: 0, end: Some(Terminal::Done(value)), .. } = answer else { panic!("{answer:?}") };
    assert_eq!(value.bytes().as_ref(), br#"{"n":1}"#);
}

#[tokio::test]
async fn a_slow_answer_begins_with_newlines() {
    let answer = invoke(|request| {
        let mut says =
            vec![Say::text("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nbackstitch-sdk: test/1.0\r\n\r\n")];
        for _ in 0..3 {
            says.extend([Say::text("1\r\n\n\r\n"), Say::Pause(Duration::from_millis(20))]);
        }
        let body = done(request);
        says.push(Say::text(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())));
        says
    })
    .await;
    assert!(matches!(answer, Answer::Ops { end: Some(_), .. }), "{answer:?}");
}

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Status, headers and body of a response, and what must be said of it.
#[tokio::test]
async fn responses_are_told_apart() {
    let problem =
        |code: &str| format!(r#"{{"type":"about:blank","title":"T","status":400,"code":"{code}","detail":"do this"}}"#);
    let html: &str = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let sdk = SDK.as_slice();
    let page = [("content-type", "text/html; charset=utf-8")];
    let cases: Vec<(u16, Headers<'_>, String, Vec<&str>)> = vec![
        // With the SDK's header: typed problems.
        (401, sdk, problem("signature"), vec!["problem Signature: do this"]),
        (404, sdk, problem("unknown_function"), vec!["problem UnknownFunction: do this"]),
        (400, sdk, problem("protocol"), vec!["problem Protocol: do this"]),
        (413, sdk, problem("too_large"), vec!["problem TooLarge: do this"]),
        (500, sdk, problem("sdk"), vec!["problem Sdk: do this"]),
        // With the header but without a problem document.
        (401, sdk, String::new(), vec!["problem Signature", "answered 401 Unauthorized"]),
        (404, sdk, "{}".to_owned(), vec!["problem UnknownFunction"]),
        (500, sdk, problem("new_code"), vec!["problem Sdk", "answered 500"]),
        (405, sdk, String::new(), vec!["problem Protocol"]),
        (204, sdk, String::new(), vec!["problem Sdk", "204"]),
        (503, sdk, "busy".to_owned(), vec!["not reached", "503", "busy"]),
        // A 200 with the header that is no answer.
        (200, sdk, html.to_owned(), vec!["problem Sdk", "an HTML page"]),
        (200, sdk, String::new(), vec!["problem Sdk", "empty"]),
        (
            200,
            sdk,
            "{\"token\":\"TOKEN\",\"seen\":0,\"ops\":[{\"op\":\"teleport\"}]}".to_owned(),
            vec!["problem Protocol", "no op `teleport`"],
        ),
        (
            200,
            sdk,
            "{\"token\":\"inv_1.0.01hzy3v7q8k2m4n6p8r0s2t4v6\",\"seen\":0,\"ops\":[]}".to_owned(),
            vec!["problem Sdk", "the token of another invocation"],
        ),
        (
            200,
            sdk,
            concat!(
                "{\"token\":\"TOKEN\",\"seen\":0,\"ops\":[{\"op\":\"step\",\"id\":\"a\",\"ok\":1,\"attempt\":1},",
                "{\"op\":\"step\",\"id\":\"a\",\"ok\":2,\"attempt\":1}]}"
            )
            .to_owned(),
            vec!["problem Sdk", "ops[0] and ops[1] both have the id `a`"],
        ),
        // Without the header: something else answered.
        (
            200,
            &page,
            html.to_owned(),
            vec!["not reached", "200 OK with an HTML page titled \"502 Bad Gateway\"", "nginx", "not an SDK's answer"],
        ),
        (200, &[], "{}".to_owned(), vec!["not reached", "not an SDK's answer"]),
        (401, &page, html.to_owned(), vec!["not reached", "401", "asks for credentials"]),
        (403, &[], "no".to_owned(), vec!["not reached", "403 Forbidden: no", "asks for credentials"]),
        (404, &page, html.to_owned(), vec!["not reached", "404", "is the path right?"]),
        (429, &[("retry-after", "7")], String::new(), vec!["not reached (Some(7000))", "429"]),
        (502, &page, html.to_owned(), vec!["not reached", "502", "titled \"502 Bad Gateway\""]),
        (503, &[("retry-after", "86400")], String::new(), vec!["not reached (Some(3600000))", "503"]),
        (500, &[], "boom".to_owned(), vec!["lost", "500 Internal Server Error: boom"]),
        (504, &page, html.to_owned(), vec!["lost", "504"]),
        (413, &page, html.to_owned(), vec!["problem TooLarge", "in front of the app"]),
        (
            307,
            &[("location", "https://elsewhere.example/api?secret=1")],
            String::new(),
            vec!["not reached", "307", "to https://elsewhere.example/api.", "Redirects are not followed"],
        ),
    ];
    for (status, headers, body, words) in cases {
        let headers: Vec<(String, String)> = headers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let answer = invoke(move |request| {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            response(status, &headers, &body.replace("TOKEN", &request.token()))
        })
        .await;
        assert_said(&answer, &words);
        assert!(!super::world::said(&answer).contains("inv_"), "a token is told: {answer:?}");
    }
}

#[tokio::test]
async fn a_page_is_kept_up_to_a_bound() {
    let answer = invoke(|_| response(500, &[], &"é".repeat(50_000))).await;
    let said = super::world::said(&answer);
    assert!(said.len() > 4_000 && said.len() < 5_000, "{} bytes were kept", said.len());
}

#[tokio::test]
async fn connections_that_die_are_lost() {
    assert_said(&invoke(|_| vec![Say::Close]).await, &["lost", "closed before an answer came"]);
    assert_said(&invoke(|_| vec![Say::Reset]).await, &["lost"]);
    let half = |end: Say| {
        move |_: &_| {
            vec![Say::text("HTTP/1.1 200 OK\r\nbackstitch-sdk: t/1\r\ncontent-length: 900\r\n\r\n{\"tok"), end.clone()]
        }
    };
    assert_said(&invoke(half(Say::Close)).await, &["lost", "the answer broke off"]);
    assert_said(&invoke(half(Say::Reset)).await, &["lost", "the answer broke off"]);
}

#[tokio::test]
async fn what_does_not_speak_http_is_not_reached() {
    assert_said(
        &invoke(|_| vec![Say::text("SSH-2.0-OpenSSH_9.2\r\n"), Say::Close]).await,
        &["not reached", "does not speak HTTP/1.1"],
    );
}

#[tokio::test]
async fn nobody_there_is_not_reached() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let answer = invoke_at(deployment(&format!("http://{address}/x?token=secret"))).await;
    assert_said(&answer, &["not reached", &format!("connection refused by {address}")]);
    assert!(!super::world::said(&answer).contains("secret"));
    let unknown = invoke_at(deployment("http://no-such-host.invalid/")).await;
    assert_said(&unknown, &["not reached", "no-such-host.invalid cannot be resolved"]);
    // A server without TLS answers a TLS greeting in plain text.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let tls = invoke_at(deployment(&format!("https://{plain}/"))).await;
    assert_said(&tls, &["not reached", "no secure connection", "does the URL begin with the right scheme"]);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_lost() {
    let peer = Peer::start(|_| vec![Say::Pause(Duration::from_secs(60))]).await;
    let mut deployment = deployment(&peer.url());
    deployment.manifest.functions[0].invocation_timeout = Some(Span(80));
    assert_said(&invoke_at(deployment.clone()).await, &["lost", "no complete answer within 80ms"]);
    // A body that drips for ever does not prolong it.
    let drip = Peer::start(|_| {
        let mut says = vec![Say::text("HTTP/1.1 200 OK\r\nbackstitch-sdk: t/1\r\ntransfer-encoding: chunked\r\n\r\n")];
        says.extend((0..500).flat_map(|_| [Say::text("1\r\n\n\r\n"), Say::Pause(Duration::from_millis(10))]));
        says
    })
    .await;
    deployment.url = drip.url();
    assert_said(&invoke_at(deployment).await, &["lost", "no complete answer within 80ms"]);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let endless = |head: &'static str| move |_: &_| vec![Say::text(head), Say::Forever(vec![b' '; 65_536])];
    // As an answer, at the bound of the deployment …
    let peer = Peer::start(endless("HTTP/1.1 200 OK\r\nbackstitch-sdk: t/1\r\n\r\n")).await;
    let mut small = deployment(&peer.url());
    small.manifest.limits.response_bytes = 1 << 20;
    assert_said(&invoke_at(small).await, &["problem Sdk", "larger than the 1048576 bytes that its manifest allows"]);
    // … or of the server, and of a page, after its beginning.
    assert_said(
        &invoke(endless("HTTP/1.1 200 OK\r\nbackstitch-sdk: t/1\r\n\r\n")).await,
        &["problem Sdk", "that the server takes"],
    );
    assert_said(&invoke(endless("HTTP/1.1 500 Oops\r\n\r\n")).await, &["lost", "500"]);
    let header = Peer::start(endless("HTTP/1.1 200 OK\r\nx: ")).await;
    let answer = invoke_at(deployment(&header.url())).await;
    assert_said(&answer, &["not reached"]);
}
