//! What is read of a `config.json`, and what is refused.

use super::*;

const SMOL: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 49152,
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 100000,
    "tie_word_embeddings": true, "hidden_act": "silu", "torch_dtype": "bfloat16", "rope_scaling": null}"#;

fn with(key: &str, value: &str) -> Result<DecoderShape, ShapeError> {
    let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
    json.insert(key.to_owned(), serde_json::from_str(value).unwrap());
    DecoderShape::parse(&Value::from(json).to_string())
}

fn of_family(architecture: &str, model_type: &str) -> DecoderShape {
    let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
    json.insert("architectures".into(), serde_json::json!([architecture]));
    json.insert("model_type".into(), model_type.into());
    DecoderShape::parse(&Value::from(json).to_string()).unwrap()
}

#[test]
fn a_published_config_is_read() {
    let shape = DecoderShape::parse(SMOL).unwrap();
    assert_eq!((shape.head_dim, shape.kv_heads, shape.tied), (64, 3, true));
    assert_eq!((shape.rope_theta, shape.rope_scaling), (1e5, None));
    // The number that the model is named after.
    assert_eq!(shape.parameters(), 134_515_008);
}

#[test]
fn both_ways_of_writing_rotary_settings_are_one() {
    let of_5 = with("rope_parameters", r#"{"rope_type": "default", "rope_theta": 250000.0}"#).unwrap();
    assert_eq!((of_5.rope_theta, of_5.rope_scaling), (2.5e5, None));
    let llama3 = r#""rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192"#;
    let of_4 = with("rope_scaling", &format!("{{{llama3}}}")).unwrap();
    let of_5 = with("rope_parameters", &format!(r#"{{"rope_theta": 100000.0, {llama3}}}"#)).unwrap();
    assert_eq!(of_4, of_5);
    assert!(matches!(of_4.rope_scaling, Some(RopeScaling::Llama3(Llama3Scaling { factor: 8.0, .. }))));
}

#[test]
fn a_yarn_section_has_the_defaults_of_transformers() {
    let yarn = |section: &str| match with("rope_scaling", section).unwrap().rope_scaling {
        Some(RopeScaling::Yarn(scaling)) => scaling,
        other => panic!("{other:?}"),
    };
    let usual = YarnScaling {
        factor: 4.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_positions: 8192.0,
        truncate: true,
        attention_factor: 0.1 * 4f64.ln() + 1.0,
    };
    assert_eq!(yarn(r#"{"type": "yarn", "factor": 4.0}"#), usual);
    assert_eq!(yarn(r#"{"type": "yarn", "factor": 4.0, "mscale": 0.7, "beta_fast": null}"#), usual, "both or none");
    let both = yarn(r#"{"rope_type": "yarn", "factor": 4.0, "mscale": 2.0, "mscale_all_dim": 1.0}"#);
    assert_eq!(both.attention_factor, (0.2 * 4f64.ln() + 1.0) / (0.1 * 4f64.ln() + 1.0));
    let stated = yarn(r#"{"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 1024}"#);
    assert_eq!((stated.factor, stated.original_positions), (8.0, 1024.0));
    // Beside the section it would be read before what the section says.
    let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
    json.insert("rope_scaling".into(), serde_json::json!({"type": "yarn", "factor": 4.0}));
    json.insert("original_max_position_embeddings".into(), 1024.into());
    let error = DecoderShape::parse(&Value::from(json).to_string()).unwrap_err().to_string();
    assert_eq!(error, "original_max_position_embeddings: found 1024, expected 8192, as the rotary settings say");
}

#[test]
fn dynamic_angles_are_plain_within_the_positions_of_the_base() {
    let shape = with("rope_scaling", r#"{"type": "dynamic", "factor": 2.0}"#).unwrap();
    assert_eq!((shape.rope_scaling, shape.max_positions), (None, 8192));
}

#[test]
fn families_differ_in_biases_and_norms() {
    let qwen2 = of_family("Qwen2ForCausalLM", "qwen2");
    assert!(qwen2.biases.query_key_value && !qwen2.biases.output && !qwen2.head_norms);
    let qwen3 = of_family("Qwen3ForCausalLM", "qwen3");
    assert!(!qwen3.biases.query_key_value && qwen3.head_norms);
    let biased = with("attention_bias", "true").unwrap();
    assert!(biased.biases.query_key_value && biased.biases.output && !biased.biases.mlp);
    assert_eq!(biased.parameters(), 134_515_008 + 30 * (576 + 2 * 192 + 576));
}

#[test]
fn what_would_be_computed_otherwise_is_refused_by_name() {
    let refused = |key, value, says: &str| {
        let error = with(key, value).unwrap_err().to_string();
        assert!(error.contains(says), "{key} = {value}: {error}");
    };
    let known = "architecture GemmaForCausalLM: expected one of LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM";
    refused("architectures", r#"["GemmaForCausalLM"]"#, known);
    let known = r#"rope_type: found "longrope", expected "default", "linear", "dynamic", "yarn" or "llama3""#;
    refused("rope_scaling", r#"{"type": "longrope", "factor": 4}"#, known);
    refused("rope_scaling", r#"{"type": "linear"}"#, "factor: found nothing");
    refused("rope_scaling", r#"{"type": "dynamic", "factor": "2"}"#, "factor: found \"2\", expected a finite number");
    refused("rope_scaling", r#"{"type": "yarn"}"#, "factor: found nothing");
    refused(
        "rope_scaling",
        r#"{"type": "yarn", "factor": 4, "beta_slow": 40}"#,
        "beta_fast: found 32, expected at least",
    );
    refused("rope_scaling", r#"{"type": "yarn", "factor": 4, "attention_factor": 0}"#, "attention_factor: found 0");
    refused(
        "rope_scaling",
        r#"{"type": "yarn", "factor": 4, "rope_theta": 1}"#,
        "rope_theta: found 1, expected a number",
    );
    refused(
        "rope_scaling",
        r#"{"type": "yarn", "factor": 4, "truncate": 1}"#,
        "truncate: found 1, expected true or false",
    );
    refused("rope_scaling", r#"{"type": "llama3", "factor": 4}"#, "low_freq_factor: found nothing");
    refused("layer_types", r#"["full_attention", "sliding_attention"]"#, "layer_types: found");
    refused("hidden_act", r#""gelu""#, "hidden_act: found \"gelu\", expected \"silu\"");
    refused("num_key_value_heads", "2", "expected a divisor of num_attention_heads = 9");
    refused("head_dim", "63", "head_dim: found 63, expected an even width");
    refused("vocab_size", "-1", "vocab_size: found -1, expected a whole number of 1 to 16777216");
    refused("quantization_config", r#"{"bits": 4}"#, "quantization_config: found");
    refused("rms_norm_eps", "0", "rms_norm_eps: found 0, expected a number above 0");
    let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
    json.insert("architectures".into(), serde_json::json!(["Qwen2ForCausalLM"]));
    json.insert("use_sliding_window".into(), true.into());
    json.insert("max_window_layers".into(), 21.into());
    json.insert("model_type".into(), "qwen2".into());
    let error = DecoderShape::parse(&Value::from(json.clone()).to_string()).unwrap_err().to_string();
    assert!(error.starts_with("use_sliding_window: found true"), "{error}");
    json.insert("max_window_layers".into(), 30.into());
    assert!(DecoderShape::parse(&Value::from(json).to_string()).is_ok(), "no layer has a window");
    assert!(DecoderShape::parse("[]").is_err() && DecoderShape::parse("{}").is_err());
}

#[test]
fn a_model_type_of_another_architecture_is_refused() {
    let error = with("model_type", "\"qwen2\"").unwrap_err().to_string();
    assert_eq!(error, "model_type: found \"qwen2\", expected \"llama\", as architectures says LlamaForCausalLM");
    let error = with("architectures", r#"["Qwen3ForCausalLM"]"#).unwrap_err().to_string();
    assert_eq!(error, "model_type: found \"llama\", expected \"qwen3\", as architectures says Qwen3ForCausalLM");
    // Where one of the two is not there, the other says it.
    assert!(with("model_type", "null").is_ok() && with("architectures", "null").is_ok());
}

#[test]
fn rotary_settings_in_two_sections_must_agree() {
    let llama3 = |factor: f64| {
        serde_json::json!({"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192})
    };
    let both = |new: &Value, old: &Value| {
        let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
        json.insert("rope_parameters".into(), new.clone());
        json.insert("rope_scaling".into(), old.clone());
        DecoderShape::parse(&Value::from(json).to_string()).map(|shape| shape.rope_scaling)
    };
    let of_8 = |found| matches!(found, Ok(Some(RopeScaling::Llama3(Llama3Scaling { factor: 8.0, .. }))));
    assert!(of_8(both(&llama3(8.0), &llama3(8.0))) && of_8(both(&llama3(8.0), &Value::Null)));
    let plain = serde_json::json!({"rope_type": "default", "rope_theta": 100_000.0});
    for (new, old) in [(llama3(8.0), llama3(4.0)), (plain.clone(), llama3(8.0)), (llama3(8.0), plain)] {
        let error = both(&new, &old).unwrap_err().to_string();
        let words = format!("rope_scaling: found {old}, expected the same as rope_parameters = {new} says");
        assert!(error.starts_with(&words), "{error}");
    }
}

#[test]
fn sizes_that_no_machine_holds_are_refused() {
    let error = with("num_hidden_layers", "4097").unwrap_err().to_string();
    assert_eq!(error, "num_hidden_layers: found 4097, expected a whole number of 1 to 4096");
    assert!(with("num_hidden_layers", "4096").is_ok());
    for (key, value) in [("head_dim", "16777216"), ("hidden_size", "9437184")] {
        let error = with(key, value).unwrap_err().to_string();
        assert!(error.contains("sizes of at most 1099511627776 weights"), "{key}: {error}");
    }
    // All of them at once: more than 64 bits can count.
    let mut json: Map<String, Value> = serde_json::from_str(SMOL).unwrap();
    let sizes =
        ["hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size", "vocab_size"];
    sizes.iter().for_each(|key| drop(json.insert((*key).into(), (1 << 24).into())));
    json.insert("num_hidden_layers".into(), 4096.into());
    let error = DecoderShape::parse(&Value::from(json).to_string()).unwrap_err().to_string();
    assert!(error.contains("hidden_size: found 16777216 in 4096 layers with 16777216 heads of 16777216"), "{error}");
}
