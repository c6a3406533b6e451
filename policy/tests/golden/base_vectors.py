#!/usr/bin/env python3
"""Vectors of texts by pretrained decoders, as transformers computes them: the mean of the last hidden states (after the
final norm) over the text's own tokens, scaled to length 1. One text at a time, so that nothing is ever padded.

Usage: policy/tests/golden/base_vectors.py [SMOLLM2_FOLDER]

Reads the models that pretrained.py made and writes policy/tests/golden/pretrained/vectors.json; with the folder of
SmolLM2-135M (f16) also vectors_smollm2.json, every 8th dimension of a few vectors. Case "llama_begun" is the model "llama"
with a tokeniser that puts token 0 before a sequence: that token is read, and not counted. Needs torch, transformers and
tokenizers; tried with torch 2.11, transformers 5.23, tokenizers 0.23.
"""

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer, processors
from transformers import AutoModel

HERE = pathlib.Path(__file__).parent / "pretrained"
TEXTS = [
    "Toy Story (1995). Animation, Comedy",
    "It",
    "Léon: The Professional – ‘director's cut’ (1994). Crime, Drama, Thriller",
    "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb (1964)",
    "the film was too long and boring",
]
LONGEST = 48  # tokens that are read of a text, the first one included


def vectors(folder, words, every=1):
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for text in TEXTS:
        encoded = words.encode(text)
        tokens, around = encoded.ids[:LONGEST], encoded.special_tokens_mask[:LONGEST]
        with torch.no_grad():
            states = model(torch.tensor([tokens])).last_hidden_state[0].double()
        mean = states[[at for at, special in enumerate(around) if not special]].mean(0)
        rows.append([round(value, 8) for value in (mean / mean.norm()).tolist()[::every]])
    return rows


def main():
    cases = {}
    for case in ("llama", "llama_biased", "qwen2", "qwen3", "llama_begun"):
        folder = HERE / case.removesuffix("_begun")
        words = Tokenizer.from_file(str(folder / "tokenizer.json"))
        if case.endswith("_begun"):
            words.post_processor = processors.TemplateProcessing(
                single="<end> $A", pair="<end> $A <end> $B", special_tokens=[("<end>", 0)])
        cases[case] = vectors(folder, words)
    write("vectors.json", {"texts": TEXTS, "longest": LONGEST, "every": 1, "cases": cases})
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
        found = {"smollm2": vectors(folder, Tokenizer.from_file(str(folder / "tokenizer.json")), 8)}
        write("vectors_smollm2.json", {"texts": TEXTS, "longest": LONGEST, "every": 8, "cases": found})


def write(name, content):
    (HERE / name).write_text(json.dumps(content, ensure_ascii=False) + "\n")


main()
