//! The secrets of runs, and the awakeable tokens that follow from them. SDKs make a token without asking anyone; the
//! server makes it again and compares. Nothing is stored but the database's one secret.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::limits::ENTRY_ID_BYTES_MAX;
use crate::model::{EntryId, RunId, hex};

const PREFIX: &str = "awk_";

/// Bytes of a run's secret, and of the digest in a token: 128 bits cannot be guessed.
const SECRET_BYTES: usize = 16;

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

impl RunSecrets {
    /// From the secret that the database made at its first use.
    pub fn new(database_secret: &[u8; 32]) -> RunSecrets {
        RunSecrets { key: hmac::Key::new(hmac::HMAC_SHA256, database_secret) }
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
