//! Makes text and data safe to stand inside HTML.

use serde::Serialize;

/// Text for element content and quoted attributes.
pub fn text(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

/// JSON for a script element: no character in it can end the element or open a comment.
///
/// # Errors
/// Only if the value cannot be written as JSON.
pub fn script_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // These occur only inside JSON strings, where the escape means the same character.
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => safe.push(c),
        }
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_a_script_reads_back_as_it_was() {
        let raw = "</script><!-- & \u{2028} \"quoted\" ünï";
        let safe = script_json(&raw).unwrap();
        assert!(!safe.contains('<') && !safe.contains('&') && !safe.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), raw);
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(text("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
    }
}
