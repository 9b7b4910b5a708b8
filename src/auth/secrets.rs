//! The secrets of runs, and the tokens that follow from them. An SDK makes an awakeable's token without asking anyone;
//! the server makes it again and compares. An invocation's token is the server's own: no secret that a handler is given
//! makes one. Nothing is stored but the database's one secret.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::limits::ENTRY_ID_BYTES_MAX;
use crate::model::{EntryId, RunId, Token, hex};

const PREFIX: &str = "awk_";

/// Bytes of a run's secret, and of the digest in a token: 128 bits cannot be guessed.
const SECRET_BYTES: usize = 16;

/// What stands before an invocation in its digest. The secrets of runs are made of 16 bytes with the same key, so that
/// neither can be taken for the other.
const INVOCATION: &str = "invocation/";

/// Makes the secrets of runs from the database's own.
pub struct RunSecrets {
    key: hmac::Key,
}

/// Why a text settles no awakeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwakeableError {
    /// It does not have the form of a token.
    #[error("failed to read the awakeable token: expected `awk_<run>.<entry>.<digest>`; was it cut off?")]
    Malformed,
    /// It has the form, and was not made with the run's secret.
    #[error("failed to take the awakeable token: it was not made by a run of this server")]
    Forged,
}

/// Why a text is not the token of an invocation. It says nothing of the text: that may be somebody's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvocationTokenError {
    /// It does not have the form of a token.
    #[error("failed to read the invocation's token: expected `inv_<epoch>.<counter>.<run>.<digest>`; was it cut off?")]
    Malformed,
    /// It has the form, and this server did not make it.
    #[error("failed to take the invocation's token: this server did not make it")]
    Forged,
}

impl RunSecrets {
    /// From the secret that the database made at its first use.
    pub fn new(database_secret: &[u8; 32]) -> RunSecrets {
        RunSecrets { key: hmac::Key::new(hmac::HMAC_SHA256, database_secret) }
    }

    /// What every token of this server is made with.
    pub(super) fn key(&self) -> &hmac::Key {
        &self.key
    }

    /// The secret of a run: 32 hexadecimal digits that follow from the database's secret and the run's id.
    pub fn of(&self, run: RunId) -> String {
        let tag = hmac::sign(&self.key, &run.to_bytes());
        hex(&tag.as_ref()[..SECRET_BYTES])
    }

    /// The token of an awakeable, as the run's SDK makes it, too.
    pub fn token(&self, run: RunId, entry: &str) -> String {
        token_with(&self.of(run), run, entry)
    }

    /// The token of an invocation as its handler is given it: what it names, and a digest that only this server can make.
    pub fn seal(&self, token: Token) -> String {
        let named = token.to_string();
        let digest = hex(&self.digest(&named)[..SECRET_BYTES]);
        named + "." + &digest
    }

    fn digest(&self, named: &str) -> [u8; 32] {
        let mut digest = hmac::Context::with_key(&self.key);
        digest.update(INVOCATION.as_bytes());
        digest.update(named.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.sign().as_ref());
        bytes
    }

    /// The invocation that a token was made for. Whether it is its run's current one is another question.
    ///
    /// # Errors
    /// [`InvocationTokenError`], when it is no token, or not one of this server.
    pub fn unseal(&self, text: &str) -> Result<Token, InvocationTokenError> {
        let (named, digest) = text.rsplit_once('.').ok_or(InvocationTokenError::Malformed)?;
        let token = named.parse::<Token>().map_err(|_| InvocationTokenError::Malformed)?;
        // The digest is of the text as it came: this server has made it of no other spelling of the token.
        let expected = hex(&self.digest(named)[..SECRET_BYTES]);
        match constant_time::verify_slices_are_equal(expected.as_bytes(), digest.as_bytes()) {
            Ok(()) => Ok(token),
            Err(_) => Err(InvocationTokenError::Forged),
        }
    }

    /// The awakeable that a token stands for.
    pub fn open(&self, token: &str) -> Result<(RunId, EntryId), AwakeableError> {
        let (run, entry) = parse(token).ok_or(AwakeableError::Malformed)?;
        let expected = self.token(run, &entry);
        match constant_time::verify_slices_are_equal(expected.as_bytes(), token.as_bytes()) {
            Ok(()) => Ok((run, entry.into())),
            Err(_) => Err(AwakeableError::Forged),
        }
    }
}

fn token_with(secret: &str, run: RunId, entry: &str) -> String {
    let digest = Sha256::digest(format!("{secret}/{entry}"));
    format!("{PREFIX}{}.{}.{}", run.tail(), URL_SAFE_NO_PAD.encode(entry), hex(&digest[..SECRET_BYTES]))
}

fn parse(token: &str) -> Option<(RunId, String)> {
    let mut parts = token.strip_prefix(PREFIX)?.split('.');
    let (run, entry, _digest) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || entry.len() > ENTRY_ID_BYTES_MAX * 2 {
        return None;
    }
    let run = format!("{}{run}", RunId::PREFIX).parse().ok()?;
    let entry = String::from_utf8(URL_SAFE_NO_PAD.decode(entry).ok()?).ok()?;
    Some((run, entry))
}

impl fmt::Debug for RunSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunSecrets(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the conformance corpus: SDKs make exactly these tokens.
    #[test]
    fn tokens_are_those_of_the_protocol() {
        let run: RunId = "run_01hzy3v7q8k2m4n6p8r0s2t4v6".parse().unwrap();
        for (entry, token) in [
            ("form", "awk_01hzy3v7q8k2m4n6p8r0s2t4v6.Zm9ybQ.71e7999dabae6a3e501703ecb4dd2ef8"),
            (
                "items/a%2Fb/form:2",
                "awk_01hzy3v7q8k2m4n6p8r0s2t4v6.aXRlbXMvYSUyRmIvZm9ybToy.640a0244e06eb50ca067d23b70e7dc4a",
            ),
            ("übung", "awk_01hzy3v7q8k2m4n6p8r0s2t4v6.w7xidW5n.46e85a7dde494343c75b8e155333dab9"),
        ] {
            assert_eq!(token_with("8f1d0c5a7b3e92644d6f8a1b2c3d4e5f", run, entry), token);
        }
    }

    #[test]
    fn only_what_this_server_sealed_is_unsealed() {
        let secrets = RunSecrets::new(&[3; 32]);
        let token = Token { epoch: 2, counter: 0x1f, run: RunId(77) };
        let text = secrets.seal(token);
        assert_eq!(secrets.unseal(&text), Ok(token));
        assert_eq!(
            text.rsplit_once('.').map(|(named, tag)| (named.to_owned(), tag.len())),
            Some((token.to_string(), 32))
        );
        for n in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[n] ^= 1;
            let Ok(forged) = String::from_utf8(bytes) else { continue };
            assert!(secrets.unseal(&forged).is_err(), "{forged} was taken for {text}");
        }
        assert_eq!(RunSecrets::new(&[4; 32]).unseal(&text), Err(InvocationTokenError::Forged));
        let other = secrets.seal(Token { counter: 0x20, ..token });
        let (_, tag) = other.rsplit_once('.').unwrap();
        assert_eq!(secrets.unseal(&format!("{token}.{tag}")), Err(InvocationTokenError::Forged));
        // Numbers are written in one way only.
        assert!(secrets.unseal(&text.replacen("inv_2.", "inv_02.", 1)).is_err());
        // What a handler knows of its run makes no token, and neither token stands for the other.
        let of_run = token_with(&secrets.of(token.run), token.run, &token.to_string());
        let tag = of_run.rsplit_once('.').unwrap().1;
        assert_eq!(secrets.unseal(&format!("{token}.{tag}")), Err(InvocationTokenError::Forged));
        assert_eq!(secrets.unseal(&secrets.token(token.run, "a")), Err(InvocationTokenError::Malformed));
        assert_eq!(secrets.open(&text), Err(AwakeableError::Malformed));
        for text in ["", "inv_", &token.to_string(), &format!("{text}.x"), &format!("{text} "), &text[..text.len() - 1]]
        {
            assert!(secrets.unseal(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn only_true_tokens_open() {
        let secrets = RunSecrets::new(&[3; 32]);
        let run = RunId(77);
        let token = secrets.token(run, "a/form");
        assert_eq!(secrets.open(&token), Ok((run, "a/form".into())));
        for n in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[n] ^= 1;
            let Ok(forged) = String::from_utf8(bytes) else { continue };
            assert!(secrets.open(&forged).is_err(), "{forged} was taken for {token}");
        }
        assert_eq!(RunSecrets::new(&[4; 32]).open(&token), Err(AwakeableError::Forged));
        for text in ["", "awk_", "awk_a.b", &token[..token.len() - 1], &format!("{token}.x"), &format!("{token} ")] {
            assert!(secrets.open(text).is_err(), "{text} was taken");
        }
    }
}
