//! Cuts a stream of server-sent events into messages, wherever the network has cut it.

/// One message of a stream. One without a kind is called `message`, as browsers do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) data: String,
}

/// What has come of a stream and is not a message yet.
#[derive(Default)]
pub(super) struct Messages {
    rest: Vec<u8>,
    current: Message,
}

impl Messages {
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Vec<Message> {
        self.rest.extend_from_slice(chunk);
        let mut complete = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            match line.split_once(':') {
                _ if line.is_empty() => {
                    let mut message = std::mem::take(&mut self.current);
                    if message.kind.is_empty() {
                        "message".clone_into(&mut message.kind);
                    }
                    if !message.data.is_empty() {
                        complete.push(message);
                    }
                }
                Some(("event", kind)) => self.current.kind = kind.trim_start().to_owned(),
                Some(("id", id)) => self.current.id = id.trim_start().to_owned(),
                Some(("data", data)) => self.current.data.push_str(data.strip_prefix(' ').unwrap_or(data)),
                // Comments that keep the connection alive.
                _ => {}
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_wherever_the_network_cuts_them() {
        let stream = ": hello\n\nevent: run\nid: 1\ndata: {\"a\":1}\n\nid: 2\ndata: 7\n\nevent: end\ndata: {}\r\n\r\n";
        for size in [1, 2, 7, 100] {
            let mut messages = Messages::default();
            let found: Vec<Message> = stream.as_bytes().chunks(size).flat_map(|chunk| messages.feed(chunk)).collect();
            let expected = [("run", "1", "{\"a\":1}"), ("message", "2", "7"), ("end", "", "{}")];
            let message = |(kind, id, data): (&str, &str, &str)| Message {
                kind: kind.to_owned(),
                id: id.to_owned(),
                data: data.to_owned(),
            };
            assert_eq!(found, expected.map(message));
        }
    }
}
