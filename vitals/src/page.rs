//! One page over HTTP: `/metrics`. It answers GET and HEAD, reads no body, and closes each connection after its answer;
//! what a stranger can hold is bounded in time, size and number.

use crate::Vitals;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at a time; others wait to be accepted.
const GUESTS: usize = 16;
/// Bytes of a request's head.
const HEAD: usize = 8 * 1024;
/// From connecting to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of `accept`, such as too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// Answers until the process ends.
pub(crate) async fn serve(listener: TcpListener, vitals: Vitals) {
    let places = Arc::new(Semaphore::new(GUESTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let vitals = vitals.clone();
                tokio::spawn(async move {
                    // Whoever breaks off learns nothing.
                    let _ = timeout(PATIENCE, answer(stream, &vitals)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(BREATH).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, vitals: &Vitals) -> io::Result<()> {
    let mut head = Vec::new();
    let whole = loop {
        if head.windows(4).any(|window| window == b"\r\n\r\n") {
            break true;
        }
        if head.len() >= HEAD || stream.read_buf(&mut head).await? == 0 {
            break false;
        }
    };
    let answer = if whole { answer_to(&head, || vitals.lock().page()) } else { refusal("400 Bad Request", false) };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The whole answer to a request's head.
fn answer_to(head: &[u8], page: impl FnOnce() -> String) -> String {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let only_head = method == "HEAD";
    if method != "GET" && !only_head {
        return refusal("405 Method Not Allowed", false);
    }
    if target.split('?').next() != Some("/metrics") {
        return refusal("404 Not Found", only_head);
    }
    respond("200 OK", "text/plain; version=0.0.4; charset=utf-8", &page(), only_head)
}

fn refusal(status: &str, only_head: bool) -> String {
    respond(status, "text/plain; charset=utf-8", &format!("{status}: there is /metrics\n"), only_head)
}

fn respond(status: &str, kind: &str, body: &str, only_head: bool) -> String {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if only_head { head } else { head + body }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tokio::spawn(serve(listener, Vitals::new(&[("role", "test")])));
        stream.write_all(request).await.unwrap();
        if request.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_page_is_given_and_nothing_else() {
        let page = asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains(&format!("Content-Length: {}\r\n", body.len()))
        );
        assert!(body.contains("conrec_info{role=\"test\"} 1\n") && body.contains("conrec_ready 0\n"), "{body}");
        let head = asked(b"HEAD /metrics?a=b HTTP/1.1\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\xff\xfe\r\n\r\n", "405"),
            (b"", "400"),
        ] {
            let answer = asked(request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        assert!(asked(&[b'a'; HEAD + 1]).await.starts_with("HTTP/1.1 400 "), "a head without an end is refused");
    }
}
