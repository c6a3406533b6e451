//! The commands of a document: lines of its code blocks that begin with `./conrec` or `scripts/`.

use std::mem;

/// One command as it stands in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentCommand {
    /// `docs/bench.md:12`.
    pub place: String,
    /// Its code block; commands of one block belong together.
    pub block: usize,
    /// Without its comment; lines that end with `\` are joined.
    pub text: String,
    /// What its comment says, `exit code 78`, or 0.
    pub exit_code: i32,
}

/// All commands of a document, in their order. `name` is its path for messages.
pub fn commands(name: &str, text: &str) -> Vec<DocumentCommand> {
    let (mut found, mut block, mut fenced, mut in_code) = (Vec::new(), 0, false, false);
    let mut continued = String::new();
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        let is_code = !fence && (fenced || line.starts_with("    ") || line.starts_with('\t'));
        block += usize::from(is_code && !in_code);
        in_code = is_code;
        if !is_code {
            continued.clear();
            continue;
        }
        let whole = mem::take(&mut continued) + line.trim();
        if let Some(begun) = whole.strip_suffix('\\') {
            continued = begun.to_owned();
            continue;
        }
        let (command, comment) = whole.split_once(" #").unwrap_or((&whole, ""));
        let command = command.trim_start_matches("$ ").trim();
        if command.starts_with("./conrec") || command.starts_with("scripts/") {
            let place = format!("{name}:{}", number + 1);
            found.push(DocumentCommand { place, block, text: command.to_owned(), exit_code: exit_code(comment) });
        }
    }
    found
}

fn exit_code(comment: &str) -> i32 {
    let digits = comment.split_once("exit code ").map_or("", |(_, rest)| rest);
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[test]
fn commands_of_every_kind_of_code_block_are_found() {
    let text = "`./conrec inline` is prose\n\n    ./conrec a   # one\n    output\n\n```sh\n$ ./conrec b \\\n  --set c=1  \
                # refused: exit code 78\nscripts/d E\n```\n./conrec prose\n```\nls\n```\n";
    let found: Vec<_> = commands("x.md", text).into_iter().map(|c| (c.place, c.block, c.text, c.exit_code)).collect();
    let expected =
        [("x.md:3", 1, "./conrec a", 0), ("x.md:8", 2, "./conrec b --set c=1", 78), ("x.md:9", 2, "scripts/d E", 0)];
    let expected = expected.map(|(place, block, text, code)| (place.to_owned(), block, text.to_owned(), code));
    assert_eq!(found, expected);
}
