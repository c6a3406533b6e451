#!/usr/bin/env python3
"""Tiny random decoders of all families that are read, and what transformers computes with them.

Usage: policy/tests/golden/pretrained.py [SMOLLM2_FOLDER]

Writes policy/tests/golden/pretrained/NAME/ (config.json, weights, tokenizer.json) and logits.json; with the folder of
SmolLM2-135M (f16) also smollm2.json, the logits of a few prompts. Needs torch, transformers and tokenizers; tried with
torch 2.11, transformers 5.23, tokenizers 0.23. Files of transformers 4 differ from those of 5 in config.json; both kinds
are made here.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    AutoModelForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

HERE = pathlib.Path(__file__).parent / "pretrained"
SMALL = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, initializer_range=0.3)
LLAMA3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=3.0)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=8.0, original_max_position_embeddings=32)
TEXT = ("What a user did, oldest first: disliked saw liked. Next: the film was too long and boring. "
        "Two friends travel through a strange country, and a comedy about weddings begins. ") * 3


def tokenizer():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet))
    return made


def config_of_4(folder):
    """Rewrites config.json as transformers 4 does."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope.get("rope_type", "default") == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    path.write_text(json.dumps(config, indent=1) + "\n")


def shard(folder):
    """Cuts model.safetensors in two, with an index."""
    from safetensors.torch import load_file

    whole = load_file(folder / "model.safetensors")
    names = sorted(whole)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, of in parts.items():
        save_file({name: whole[name] for name in of}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, of in parts.items() for name in of}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
    (folder / "model.safetensors").unlink()


def tiny():
    words = tokenizer()
    vocab = 304  # more rows than tokens, as published models have
    made = {
        "llama": (LlamaForCausalLM, LlamaConfig(**SMALL, vocab_size=vocab, tie_word_embeddings=True, rope_parameters=LLAMA3),
                  torch.bfloat16),
        "llama_biased": (LlamaForCausalLM, LlamaConfig(**SMALL, vocab_size=vocab, attention_bias=True, mlp_bias=True),
                         torch.float16),
        "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SMALL, vocab_size=vocab, tie_word_embeddings=False), torch.float32),
        "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SMALL, vocab_size=vocab, head_dim=6, tie_word_embeddings=True),
                  torch.bfloat16),
        "qwen2_linear": (Qwen2ForCausalLM, Qwen2Config(**SMALL, vocab_size=vocab, tie_word_embeddings=True,
                                                       rope_parameters=LINEAR), torch.bfloat16),
        "qwen3_yarn": (Qwen3ForCausalLM, Qwen3Config(**SMALL, vocab_size=vocab, head_dim=8, tie_word_embeddings=True,
                                                     rope_parameters=YARN), torch.bfloat16),
    }
    sequences = [[5], list(range(40, 60)), [7 * i % 300 for i in range(70)]]
    expected = {}
    for seed, (name, (kind, config, dtype)) in enumerate(made.items()):
        torch.manual_seed(seed)
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        model = kind(config)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 1:  # norms of 1 and biases of 0 would hide mistakes
                    weight.add_(torch.randn_like(weight) * 0.3)
        model.to(dtype).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        if name in ("llama_biased", "qwen2", "qwen2_linear"):
            config_of_4(folder)
        if name in ("llama_biased", "qwen2"):
            shard(folder)
        words.save(str(folder / "tokenizer.json"), pretty=False)
        expected[name] = logits(folder, sequences)
    write("logits.json", expected)


def logits(folder, sequences, keep=None):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for tokens in sequences:
        with torch.no_grad():
            last = model(torch.tensor([tokens])).logits[0, -1].tolist()
        places = list(range(len(last))) if keep is None else list(range(0, len(last), keep))
        rows.append({"tokens": tokens, "places": places, "logits": [round(last[place], 6) for place in places]})
    return rows


def write(name, content):
    (HERE / name).write_text(json.dumps(content) + "\n")


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    tiny()
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
        read = Tokenizer.from_file(str(folder / "tokenizer.json"))
        texts = ["The capital of France is", "What a user did, oldest first: disliked Toy Story (1995)",
                 "I did not like the movie because it was boring and too long. " * 6]
        write("smollm2.json", {"texts": texts, "rows": logits(folder, [read.encode(t).ids for t in texts], keep=97)})


main()
