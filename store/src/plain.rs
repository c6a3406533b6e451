//! A store's error in words for people: with its causes, on one line, without anything that may be secret.

use std::error::Error;

/// Longer messages are bodies of answers.
const LONGEST: usize = 600;

/// Shorter values of the environment hide nothing, and would tear words apart.
const SHORTEST_SECRET: usize = 8;

/// The error and its causes; queries of URLs (which may be signatures) and the values of secret variables are left out.
pub fn plain(error: &(dyn Error + 'static)) -> String {
    let secrets: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST_SECRET)
        .map(|(_, value)| value)
        .collect();
    without(&with_causes(error), &secrets)
}

/// Whether a variable of one of the clouds holds a credential.
fn is_secret(name: &str) -> bool {
    let ours = ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|cloud| name.starts_with(cloud));
    ours && ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD"].iter().any(|word| name.contains(word))
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn without(text: &str, secrets: &[String]) -> String {
    let words = text.split_whitespace().map(|word| match word.split_once("://") {
        Some((scheme, rest)) if rest.contains('?') => {
            format!("{scheme}://{}", rest.split('?').next().unwrap_or_default())
        }
        Some(_) | None => word.to_owned(),
    });
    let mut text = words.collect::<Vec<_>>().join(" ");
    for secret in secrets {
        text = text.replace(secret, "…");
    }
    if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_secret_values_are_left_out() {
        let text = "PUT https://a.blob.core.windows.net/c/k?sv=1&sig=abcdef in 3 s:\n  denied for wJalrXUtnFEMI";
        let shown = without(text, &["wJalrXUtnFEMI".into()]);
        assert_eq!(shown, "PUT https://a.blob.core.windows.net/c/k in 3 s: denied for …");
    }

    #[test]
    fn credentials_are_known_by_the_names_of_their_variables() {
        for name in ["AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("AWS_REGION") && !is_secret("SSH_KEY"));
    }

    #[test]
    fn a_long_answer_is_cut() {
        assert_eq!(without(&"a".repeat(9000), &[]).chars().count(), LONGEST + 1);
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("no space");
        let error = object_store::Error::Generic { store: "X", source: Box::new(inner) };
        assert_eq!(plain(&error), "Generic X error: no space");
    }
}
