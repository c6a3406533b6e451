//! Lines that Python printed: dictionaries with single quotes, `True`, `None`, `u'…'`. Some publishers call that JSON.

use serde_json::{Map, Number, Value};

/// Deepest nesting that is read.
const DEEPEST: u32 = 32;

/// The value that a Python literal of dictionaries, lists, tuples, strings, numbers, booleans and None stands for.
///
/// # Errors
/// Anything else, with the place in bytes.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(0)?;
    parser.skip_space();
    match parser.rest().is_empty() {
        true => Ok(value),
        false => Err(parser.expected("the end of the line")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn expected(&self, what: &str) -> String {
        let found = self.rest().chars().next().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"));
        format!("found {found} at byte {}, expected {what}", self.at)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self, depth: u32) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(format!("found more than {DEEPEST} levels of brackets at byte {}", self.at));
        }
        self.skip_space();
        match self.rest().bytes().next() {
            Some(b'{') => self.dictionary(depth),
            Some(b'[') => self.list("[", "]", depth),
            Some(b'(') => self.list("(", ")", depth),
            Some(b'\'' | b'"') => self.string().map(Value::String),
            Some(b'u' | b'b' | b'r') if matches!(self.rest().as_bytes().get(1), Some(b'\'' | b'"')) => {
                self.at += 1;
                self.string().map(Value::String)
            }
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            _ => {
                let words = [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)];
                let known = words.into_iter().find(|(word, _)| self.take(word));
                known.map(|(_, value)| value).ok_or_else(|| self.expected("a value"))
            }
        }
    }

    fn dictionary(&mut self, depth: u32) -> Result<Value, String> {
        self.take("{");
        let mut map = Map::new();
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(Value::Object(map));
            }
            let key = match self.value(depth + 1)? {
                Value::String(key) => key,
                other => other.to_string(),
            };
            self.skip_space();
            if !self.take(":") {
                return Err(self.expected("`:`"));
            }
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            self.separator("}")?;
        }
    }

    fn list(&mut self, open: &str, close: &str, depth: u32) -> Result<Value, String> {
        self.take(open);
        let mut list = Vec::new();
        loop {
            self.skip_space();
            if self.take(close) {
                return Ok(Value::Array(list));
            }
            list.push(self.value(depth + 1)?);
            self.separator(close)?;
        }
    }

    /// A comma, or nothing before the closing bracket.
    fn separator(&mut self, close: &str) -> Result<(), String> {
        self.skip_space();
        if self.take(",") || self.rest().starts_with(close) {
            return Ok(());
        }
        Err(self.expected(&format!("`,` or `{close}`")))
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self.rest().find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E' | 'L'));
        let text = &self.rest()[..end.unwrap_or_else(|| self.rest().len())];
        let digits = text.trim_end_matches('L');
        let number = digits
            .parse::<i64>()
            .ok()
            .map(Number::from)
            .or_else(|| digits.parse::<u64>().ok().map(Number::from))
            .or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64))
            .ok_or_else(|| self.expected("a number"))?;
        self.at += text.len();
        Ok(Value::Number(number))
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let quote = self.rest().chars().next().unwrap_or('\'');
        self.at += quote.len_utf8();
        let mut text = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(format!("found a string at byte {start} that does not end"));
            };
            self.at += c.len_utf8();
            match c {
                c if c == quote => return Ok(text),
                '\\' => self.escape(&mut text)?,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let Some(c) = self.rest().chars().next() else {
            return Err(self.expected("what a backslash stands before"));
        };
        self.at += c.len_utf8();
        match c {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\\' | '\'' | '"' => text.push(c),
            'x' => self.code(2, text)?,
            'u' => self.code(4, text)?,
            'U' => self.code(8, text)?,
            other => text.extend(['\\', other]),
        }
        Ok(())
    }

    /// A character by its number in hexadecimal; halves of a pair, which Python 2 wrote, become the mark for unknown.
    fn code(&mut self, digits: usize, text: &mut String) -> Result<(), String> {
        let hex = self.rest().get(..digits).ok_or_else(|| self.expected("hexadecimal digits"))?;
        let code = u32::from_str_radix(hex, 16).map_err(|_| self.expected("hexadecimal digits"))?;
        self.at += digits;
        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_python_prints_is_read() {
        let text = r#"{'asin': u'B01', "t": "it's", 'n': -3, 'f': 2.5e1, 'l': [1, (2,), []], 'b': True, 'z': None, 'x': 'a\'\x41\u00e9\n\q', 7: 12L}"#;
        let expected = json!({"asin": "B01", "t": "it's", "n": -3, "f": 25.0, "l": [1, [2], []], "b": true, "z": null,
            "x": "a'Aé\n\\q", "7": 12});
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_literal_is_refused_with_its_place() {
        for (text, words) in [
            ("{'a': 1", "found the end at byte 7, expected `,` or `}`"),
            ("{'a' 1}", "found `1` at byte 5, expected `:`"),
            ("'abc", "a string at byte 0 that does not end"),
            ("import os", "found `i` at byte 0, expected a value"),
            ("1 2", "expected the end of the line"),
            ("'\\x4'", "hexadecimal"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(parse(&"[".repeat(100_000)).unwrap_err().contains("32 levels"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[\{\}\[\]\(\),:'"\\xuUnTrueFalsNo0-9é. -]{0,40}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let written = format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
            prop_assert_eq!(parse(&written).unwrap(), Value::String(text));
        }
    }
}
