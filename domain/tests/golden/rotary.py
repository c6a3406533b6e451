#!/usr/bin/env python3
"""Rotary frequencies of transformers for every type that is read, with the keys that change them.

Usage: domain/tests/golden/rotary.py

Writes domain/tests/golden/rotary.json: the text of a config.json, what transformers makes of it. Needs torch and transformers;
tried with torch 2.11, transformers 5.23.
"""

import json
import pathlib

from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SHAPE = dict(hidden_size=256, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=100, max_position_embeddings=32768)
YARN = dict(rope_type="yarn", rope_theta=1e6, factor=4.0, original_max_position_embeddings=32768)
CASES = {
    "linear": dict(rope_type="linear", rope_theta=1e4, factor=2.5),
    "dynamic": dict(rope_type="dynamic", rope_theta=1e4, factor=8.0),
    "llama3": dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=8192),
    "yarn": YARN,
    "yarn, of the positions themselves": dict(rope_type="yarn", rope_theta=1e4, factor=2.0),
    "yarn, a short first context": dict(YARN, original_max_position_embeddings=64, factor=16.0),
    "yarn, no whole pairs": dict(YARN, truncate=False),
    "yarn, another ramp": dict(YARN, beta_fast=8.0, beta_slow=2.0),
    "yarn, a ramp without length": dict(YARN, beta_fast=4.0, beta_slow=4.0, truncate=False),
    "yarn, attention given": dict(YARN, attention_factor=1.25),
    "yarn, both weights": dict(YARN, factor=40.0, mscale=1.0, mscale_all_dim=0.707),
    "yarn, one weight": dict(YARN, mscale=0.5),
    "yarn, no longer": dict(YARN, factor=1.0),
}


def main():
    made = []
    for name, rope in CASES.items():
        config = LlamaConfig(**SHAPE, rope_parameters=dict(rope))
        frequencies, attention = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config)
        text = dict(architectures=["LlamaForCausalLM"], model_type="llama", **SHAPE, rope_parameters=rope)
        made.append(dict(name=name, config=text, frequencies=frequencies.tolist(), attention=attention))
    path = pathlib.Path(__file__).parent / "rotary.json"
    path.write_text(json.dumps(made, indent=1) + "\n")


main()
