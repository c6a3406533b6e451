//! Values of enums as configs write them, for reports: `amazon_2014`, not the name that the code has for it.

use serde::Serialize;

/// How a config writes this value.
pub fn written(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Quantizer, Source, Statistics};

    #[test]
    fn a_value_is_named_as_a_config_names_it() {
        let found = [
            written(&Source::Amazon2014),
            written(&Source::VkLsvd),
            written(&Statistics::Refit),
            written(&Quantizer::RqVae),
        ];
        assert_eq!(found, ["amazon_2014", "vk_lsvd", "refit", "rq_vae"]);
    }
}
