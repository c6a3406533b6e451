//! As much of Google Cloud Storage's XML interface as a run needs, in memory, answered by threads of the test: objects
//! with generations, conditions on them, lists. Its public emulators speak the other interface only.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const DATE: &str = "Mon, 02 Nov 2026 10:00:00 GMT";
const ISO_DATE: &str = "2026-11-02T10:00:00.000Z";

#[derive(Default)]
struct Bucket {
    generation: u64,
    /// Key to generation and content.
    objects: BTreeMap<String, (u64, Vec<u8>)>,
}

struct Request {
    method: String,
    /// After the bucket; empty for the bucket itself.
    key: String,
    query: BTreeMap<String, String>,
    /// `x-goog-if-generation-match`
    condition: Option<u64>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    generation: u64,
    body: Vec<u8>,
}

/// Serves an empty bucket for as long as the process lives; its port.
///
/// # Errors
/// The system has no port.
pub fn serve() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || converse(&stream, &bucket));
        }
    });
    Ok(port)
}

/// One connection: request by request until the other end closes it.
fn converse(stream: &TcpStream, bucket: &Mutex<Bucket>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let request = read(&mut reader)?;
        let head = request.method == "HEAD";
        let answer = bucket.lock().unwrap_or_else(PoisonError::into_inner).answer(request);
        let (length, generation) = (answer.body.len(), answer.generation);
        let headers = format!(
            "HTTP/1.1 {}\r\nContent-Length: {length}\r\nETag: \"{generation}\"\r\nLast-Modified: {DATE}\r\n\
             x-goog-generation: {generation}\r\n\r\n",
            answer.status
        );
        writer.write_all(headers.as_bytes()).ok()?;
        writer.write_all(if head { &[] } else { &answer.body }).ok()?;
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut condition) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "x-goog-if-generation-match" => condition = Some(value.parse().ok()?),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect();
    let key = path.trim_start_matches('/').split_once('/').map_or_else(String::new, |(_, key)| decoded(key));
    Some(Request { method, key, query, condition, body })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let number = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (first, number) {
            (b'%', Some(number)) => {
                bytes.push(number);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Bucket {
    fn answer(&mut self, request: Request) -> Answer {
        let there = self.objects.get(&request.key).map_or(0, |(generation, _)| *generation);
        let plain = |status, generation| Answer { status, generation, body: Vec::new() };
        match request.method.as_str() {
            "GET" if request.key.is_empty() => {
                Answer { status: "200 OK", generation: 0, body: self.list(&request.query).into_bytes() }
            }
            "GET" | "HEAD" => match self.objects.get(&request.key) {
                Some((generation, body)) => Answer { status: "200 OK", generation: *generation, body: body.clone() },
                None => plain("404 Not Found", 0),
            },
            "PUT" if request.condition.is_some_and(|condition| condition != there) => {
                plain("412 Precondition Failed", there)
            }
            "PUT" => {
                self.generation += 1;
                self.objects.insert(request.key, (self.generation, request.body));
                plain("200 OK", self.generation)
            }
            "DELETE" => match self.objects.remove(&request.key) {
                Some(_) => plain("204 No Content", 0),
                None => plain("404 Not Found", 0),
            },
            _ => plain("405 Method Not Allowed", 0),
        }
    }

    fn list(&self, query: &BTreeMap<String, String>) -> String {
        let prefix = query.get("prefix").map_or("", String::as_str);
        let by_folder = query.contains_key("delimiter");
        let (mut folders, mut contents) = (BTreeSet::new(), String::new());
        for (key, (generation, content)) in self.objects.iter().filter(|(key, _)| key.starts_with(prefix)) {
            match key[prefix.len()..].split_once('/') {
                Some((folder, _)) if by_folder => {
                    folders.insert(format!("{prefix}{folder}/"));
                }
                _ => contents.push_str(&format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>{ISO_DATE}</LastModified>\
                     <ETag>\"{generation}\"</ETag></Contents>",
                    content.len()
                )),
            }
        }
        let folders =
            folders.iter().map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
        format!("<ListBucketResult>{contents}{}</ListBucketResult>", folders.collect::<String>())
    }
}
