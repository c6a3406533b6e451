//! Requests and answers on the wire.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::TcpStream;

/// One request.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// Parts of the path.
    pub(super) path: Vec<String>,
    pub(super) query: BTreeMap<String, String>,
    pub(super) content_type: String,
    pub(super) body: Value,
}

impl Request {
    /// Reads the next one; none where the other end has closed.
    pub(super) fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (mut length, mut content_type) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "content-type" => content_type = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Some(Self {
            method,
            path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            query: pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect(),
            content_type,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            target,
        })
    }

    /// Whether the query sets `name` to a yes.
    pub(super) fn asks(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|value| value == "true" || value == "1")
    }
}

/// Percent-encoded ASCII, as label selectors are.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (code, part.get(2..)) {
            (Some(code), Some(rest)) => plain.extend([char::from(code)].into_iter().chain(rest.chars())),
            _ => plain.push_str(part),
        }
    }
    plain
}

/// Sends a whole answer.
pub(super) fn answer(mut stream: &TcpStream, code: u16, body: &Value) -> Option<()> {
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

/// Begins an answer of unknown length.
pub(super) fn chunked(mut stream: &TcpStream, content_type: &str) -> Option<()> {
    let head = format!("HTTP/1.1 200 X\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()
}

/// Sends a part of it; an empty one ends it.
pub(super) fn chunk(mut stream: &TcpStream, part: &[u8]) -> Option<()> {
    let mut bytes = format!("{:x}\r\n", part.len()).into_bytes();
    bytes.extend_from_slice(part);
    bytes.extend_from_slice(b"\r\n");
    stream.write_all(&bytes).ok()
}
