//! The agent's tools, over a small library of its own: `search`, `read`, and `buy`, which costs money and therefore asks.
//! The archive is slow to open: the first attempt to read from it fails.

use backstitch::{Error, Step};

const LIBRARY: [(&str, &str, u32); 2] = [
    ("seams-1", "A backstitch goes back over the last stitch, so a cut thread opens one stitch at most.", 0),
    ("seams-2", "Of 40 seams with the thread cut anywhere, backstitched ones held in 40.", 12),
];

/// Whether a person is asked before a tool is used.
pub(crate) fn asks(tool: &str) -> bool {
    tool == "buy"
}

/// Uses a tool; gives what it found. Fails with `NotFound` where no attempt will help.
pub(crate) async fn run(tool: &str, argument: &str, step: Step) -> Result<String, Error> {
    if tool == "search" {
        let finds = LIBRARY.map(|(id, _, euros)| format!("{id} ({euros} EUR)"));
        return Ok(finds.join(", "));
    }
    let document = LIBRARY.iter().find(|(id, ..)| *id == argument);
    match (tool, document) {
        ("read", Some((_, text, 0))) if step.attempt() > 1 => Ok((*text).to_owned()),
        ("read", Some((.., 0))) => Err(Error::new("ArchiveClosed", "the archive is still opening")),
        ("buy", Some((_, text, euros))) => {
            Ok(format!("{text} (bought for {euros} EUR under {})", step.idempotency_key()))
        }
        _ => Err(Error::new("NotFound", format!("there is no {tool} {argument}"))),
    }
}
