//! One field of a row, whatever the file's format, and what it can be read as.

use std::fmt::Write;

/// 2^53: from here on not every whole number is a floating-point one.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub enum Field<'a> {
    /// Nothing there.
    Missing,
    /// Text, as files of text have it.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// A whole number that is larger than the others can be.
    Large(u64),
    /// A number.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// A point in time with its unit known, Unix seconds.
    Seconds(i64),
    /// A list of texts.
    List(Vec<String>),
}

impl Field<'_> {
    /// As the id of a `what`: whole numbers to the last digit.
    ///
    /// # Errors
    /// A number with a point that is so large that its neighbours are written alike.
    pub fn id<'b>(&'b self, what: &str, write: &'b mut String) -> Result<&'b str, String> {
        match self {
            Field::Number(number) if number.abs() >= FIRST_INEXACT => Err(format!(
                "found the {what} id `{number:e}`, a floating-point number that stands for several whole ones; write ids as \
                 whole numbers or as text"
            )),
            _ => Ok(self.key(write)),
        }
    }

    /// As text: `write` gets it cleared. Numbers without a fraction lose the point that some tools give them.
    pub fn key<'b>(&'b self, write: &'b mut String) -> &'b str {
        write.clear();
        let written = match self {
            Field::Text(text) => return text.trim(),
            Field::Integer(number) | Field::Seconds(number) => write!(write, "{number}"),
            Field::Large(number) => write!(write, "{number}"),
            Field::Number(number) if number.is_finite() => write!(write, "{number}"),
            Field::Flag(flag) => write!(write, "{flag}"),
            Field::Missing | Field::Number(_) | Field::List(_) => Ok(()),
        };
        // Writing to a String cannot fail.
        debug_assert!(written.is_ok());
        write.as_str()
    }

    /// As a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Field::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            Field::Integer(number) => Some(*number as f64),
            Field::Large(number) => Some(*number as f64),
            Field::Number(number) => Some(*number).filter(|number| number.is_finite()),
            Field::Flag(flag) => Some(f64::from(u8::from(*flag))),
            Field::Missing | Field::Seconds(_) | Field::List(_) => None,
        }
    }

    /// As a flag: true, yes and numbers but 0 are set; nothing, false and no are not. None for anything else.
    pub fn flag(&self) -> Option<bool> {
        match self {
            Field::Missing => Some(false),
            Field::Text(text) => {
                let text = text.trim();
                let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
                match text.parse::<f64>() {
                    Ok(number) => Some(number != 0.0),
                    Err(_) if is(&["true", "yes", "t", "y"]) => Some(true),
                    Err(_) if is(&["", "false", "no", "f", "n"]) => Some(false),
                    Err(_) => None,
                }
            }
            Field::Integer(number) => Some(*number != 0),
            Field::Large(number) => Some(*number != 0),
            Field::Number(number) => Some(*number != 0.0),
            Field::Flag(flag) => Some(*flag),
            Field::Seconds(_) | Field::List(_) => None,
        }
    }

    /// The field as an error shows it.
    pub fn shown(&self) -> String {
        let mut text = match self {
            Field::Missing => return "nothing".to_owned(),
            Field::List(list) => format!("a list of {}", list.len()),
            Field::Text(_)
            | Field::Integer(_)
            | Field::Large(_)
            | Field::Number(_)
            | Field::Flag(_)
            | Field::Seconds(_) => {
                format!("`{}`", self.key(&mut String::new()))
            }
        };
        if text.chars().count() > 60 {
            text = text.chars().take(60).chain("…`".chars()).collect();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_whatever_the_format() {
        let mut text = String::new();
        for field in [Field::Text(" 12 "), Field::Integer(12), Field::Number(12.0)] {
            assert_eq!(field.key(&mut text), "12");
        }
        assert_eq!(Field::Missing.key(&mut text), "");
        assert_eq!(Field::Number(f64::NAN).key(&mut text), "");
    }

    #[test]
    fn ids_are_exact_or_refused() {
        let mut text = String::new();
        for (field, id) in [
            (Field::Large(u64::MAX), "18446744073709551615"),
            (Field::Integer(i64::MIN), "-9223372036854775808"),
            (Field::Text("18446744073709551616"), "18446744073709551616"),
            (Field::Number(9_007_199_254_740_991.0), "9007199254740991"),
            (Field::Number(0.5), "0.5"),
        ] {
            assert_eq!(field.id("user", &mut text), Ok(id));
        }
        for inexact in [9_007_199_254_740_992.0, -1e300, f64::INFINITY] {
            let error = Field::Number(inexact).id("user", &mut text).unwrap_err();
            assert!(error.contains("found the user id") && error.contains("as text"), "{error}");
        }
    }

    #[test]
    fn flags_are_words_and_numbers() {
        for set in ["1", "1.0", "True", "yes", "-1"] {
            assert_eq!(Field::Text(set).flag(), Some(true), "{set}");
        }
        for unset in ["0", "0.0", "False", "no", ""] {
            assert_eq!(Field::Text(unset).flag(), Some(false), "{unset}");
        }
        assert_eq!(Field::Text("perhaps").flag(), None);
        assert_eq!((Field::Text("nan").number(), Field::Text(" 3.5").number()), (None, Some(3.5)));
    }
}
