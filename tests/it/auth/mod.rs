//! Signatures, verified as an SDK verifies them: by the kind of its key, over the raw bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstitch_server::auth::{Claims, DISCOVER, Signer, SigningKey};
use backstitch_server::clock::ManualClock;
use backstitch_server::model::{Timestamp, hex};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const NOW: i64 = 1_772_366_400;
const BODY: &[u8] = br#"{"run":{}}"#;

fn keys() -> [SigningKey; 2] {
    [SigningKey::shared([7; 32]), SigningKey::private([9; 32])]
}

fn sign(key: &SigningKey, claims: Claims<'_>) -> String {
    let clock = Arc::new(ManualClock::new(Timestamp(NOW * 1_000), 1));
    Signer::new("test", Some(key), clock).sign(claims).expect("it signs").expect("there is a key")
}

fn invocation() -> Claims<'static> {
    Claims { app: "shop", subject: "run_1", invocation: Some("inv_1"), body: BODY }
}

/// What an SDK does: the key's kind decides the algorithm, then app, body and times are checked.
fn verify(handler_key: &str, token: &str, app: &str, body: &[u8], now: i64) -> Result<Value, String> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
    let (algorithm, key) = match (handler_key.strip_prefix("bsk_"), handler_key.strip_prefix("bspk_")) {
        (Some(secret), _) => (Algorithm::HS256, DecodingKey::from_secret(&bytes(secret))),
        (_, Some(public)) => (Algorithm::EdDSA, DecodingKey::from_ed_der(&bytes(public))),
        _ => return Err("no key".to_owned()),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[app]);
    validation.validate_exp = false;
    validation.required_spec_claims = ["aud", "exp", "sub"].map(str::to_owned).into();
    let decoded = jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|error| error.to_string())?;
    let claims = decoded.claims;
    let (iat, exp) = (claims["iat"].as_i64().ok_or("iat")?, claims["exp"].as_i64().ok_or("exp")?);
    if iat > now + 60 || exp < now - 60 || exp - iat > 300 {
        return Err("times".to_owned());
    }
    if claims["bod"] != hex(&Sha256::digest(body)) {
        return Err("body".to_owned());
    }
    Ok(claims)
}

#[test]
fn both_kinds_of_keys_are_verified() {
    for key in keys() {
        let token = sign(&key, invocation());
        let claims = verify(&key.for_handlers(), &token, "shop", BODY, NOW).expect("a good signature");
        assert_eq!(
            claims,
            json!({"aud": "shop", "env": "test", "sub": "run_1", "inv": "inv_1", "bod": hex(&Sha256::digest(BODY)), "iat": NOW, "exp": NOW + 300})
        );
        let header = jsonwebtoken::decode_header(&token).expect("a header");
        assert_eq!(header.typ.as_deref(), Some("JWT"));
        let discovery = sign(&key, Claims { app: "shop", subject: DISCOVER, invocation: None, body: b"" });
        let claims = verify(&key.for_handlers(), &discovery, "shop", b"", NOW).expect("a good signature");
        assert_eq!((claims["sub"].as_str(), claims.get("inv")), (Some("discover"), None));
    }
}

#[test]
fn nothing_can_be_changed() {
    for key in keys() {
        let (token, handler_key) = (sign(&key, invocation()), key.for_handlers());
        assert_eq!(verify(&handler_key, &token, "billing", BODY, NOW).expect_err("another app"), "InvalidAudience");
        assert_eq!(verify(&handler_key, &token, "shop", b"{}", NOW).expect_err("another body"), "body");
        assert!(verify(&handler_key, &token, "shop", BODY, NOW + 361).is_err());
        assert!(verify(&handler_key, &token, "shop", BODY, NOW - 61).is_err());
        assert!(verify(&handler_key, &token, "shop", BODY, NOW + 360).is_ok());
        for n in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[n] = if bytes[n] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            // The last character of each part carries bits that base64 does not use.
            if decoded(&changed) != decoded(&token) {
                assert!(
                    verify(&handler_key, &changed, "shop", BODY, NOW).is_err(),
                    "byte {n} of {token} can be changed"
                );
            }
        }
    }
}

/// The bytes of the three parts; nothing where one is not base64url.
fn decoded(token: &str) -> Vec<Option<Vec<u8>>> {
    token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect()
}

#[test]
fn one_kind_of_key_does_not_take_the_other() {
    let [shared, private] = keys();
    assert!(verify(&private.for_handlers(), &sign(&shared, invocation()), "shop", BODY, NOW).is_err());
    assert!(verify(&shared.for_handlers(), &sign(&private, invocation()), "shop", BODY, NOW).is_err());
    // An HMAC made with the public key's bytes, which everyone knows.
    let public = URL_SAFE_NO_PAD.decode(&private.for_handlers()[5..]).expect("base64url");
    let confused = sign(&SigningKey::shared(public.try_into().expect("32 bytes")), invocation());
    assert!(verify(&private.for_handlers(), &confused, "shop", BODY, NOW).is_err());
    let other = SigningKey::shared([8; 32]);
    assert!(verify(&other.for_handlers(), &sign(&shared, invocation()), "shop", BODY, NOW).is_err());
}

#[test]
fn without_a_key_there_is_no_signature() {
    let signer = Signer::new("test", None, Arc::new(ManualClock::new(Timestamp(0), 1)));
    assert!(!signer.has_key() && signer.sign(invocation()).expect("nothing to do").is_none());
}

/// The tokens of the corpus: with its key and its claims this server makes the very same header and signature.
#[test]
fn the_corpus_is_signed_as_we_sign() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/http.json");
    let corpus: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the corpus")).expect("JSON");
    let now: Timestamp = corpus["now"].as_str().expect("a time").parse().expect("a time");
    let requests = corpus["requests"].as_array().expect("a list");
    let mut kinds = BTreeSet::new();
    for request in
        requests.iter().filter(|request| request["status"] == 200 && !request["headers"]["authorization"].is_null())
    {
        let bearer = request["headers"]["authorization"].as_str().expect("a text");
        let token = bearer.strip_prefix("Bearer ").expect("a bearer");
        let body = request["body"].as_str().unwrap_or_default();
        let keys = request["key"].as_str().expect("a key").split(',');
        let verified = keys.filter_map(|key| verify(key, token, "conformance", body.as_bytes(), now.0 / 1_000).ok());
        assert_eq!(verified.count(), 1, "{}", request["name"]);
        kinds.insert(jsonwebtoken::decode_header(token).expect("a header").alg as u8);
    }
    assert_eq!(kinds.len(), 2);
}
