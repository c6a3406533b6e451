//! The frame of every page: head, style, and a policy that lets it load nothing.

use crate::escape::text;

const STYLE: &str = include_str!("../assets/page.css");

/// The page allows itself nothing but what it carries: not even a bug could make it load something.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// What a page may carry beside its content. All of it is put in as it is: none of it may come from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// More style.
    pub style: &'a str,
    /// Elements after the content: scripts and their data.
    pub tail: &'a str,
}

/// A whole page around `body`, which is HTML.
pub fn shell(title: &str, body: &str, extras: Extras<'_>) -> String {
    let Extras { style, tail } = extras;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>{} · conrec report</title>\n<style>\n{style}\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n\
         {tail}</body>\n</html>\n",
        text(title),
    )
}
