"""Makes tiny random sentence encoders of every known family and what transformers computes with them.

    python3 make_encoders.py                     writes the folders beside this file, each with expected.json
    python3 make_encoders.py --minilm FOLDER     writes minilm.json: vectors of all-MiniLM-L6-v2, whose files are not kept here

Needs torch, transformers, tokenizers and safetensors. Pooling and normalisation are written out here, not taken from
sentence-transformers."""

import json
import pathlib
import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

HERE = pathlib.Path(__file__).parent
TEXTS = [
    "a tale of two cities",
    "the night",
    "two nights, of a tale: the tale of nights, cities & the night of two tales in the city of night, again and again",
    "",
    "Zürich 1999",
]
WORDS = "a tale of two city cities the night in and again 19 ##99 ##s , : & z ##u ##r ##i ##c ##h".split()


def tokenizer(pad_first):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] if pad_first else ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]
    ids = {word: at for at, word in enumerate(special + WORDS)}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    # What a file says of length and padding must give way to what the encoder says.
    made.enable_truncation(7)
    made.enable_padding(length=7)
    return made, len(ids), ids["[PAD]"]


def pooled(states, mask, mode, normalise):
    mask = mask.unsqueeze(-1).float()
    if mode == "mean":
        vectors = (states * mask).sum(1) / mask.sum(1)
    elif mode == "cls":
        vectors = states[:, 0]
    else:
        vectors = states.masked_fill(mask == 0, -1e9).max(1).values
    return torch.nn.functional.normalize(vectors, dim=1) if normalise else vectors


def small(config, vocabulary, pad, **more):
    return config(
        vocab_size=vocabulary, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24,
        max_position_embeddings=26, pad_token_id=pad, initializer_range=0.4, **more,
    )


def family(name, model_of, pad_first, mode, normalise, modules, longest, stored=torch.float32):
    torch.manual_seed(7)
    made, vocabulary, pad = tokenizer(pad_first)
    model = model_of(vocabulary, pad).eval()
    for parameter in model.parameters():  # norms and biases start at 1 and 0, which would hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    folder = HERE / name
    inner = folder / modules[0] if modules else folder
    model.to(stored).save_pretrained(inner, safe_serialization=True)
    model.float()
    made.save(str(inner / "tokenizer.json"))
    if modules:
        kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalise else [])
        paths = [modules[0], "1_Pooling", "2_Normalize"]
        listed = [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (kind, path) in enumerate(zip(kinds, paths))
        ]
        (folder / "modules.json").write_text(json.dumps(listed, indent=2) + "\n")
        (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}) + "\n")
        flags = {f"pooling_mode_{key}": key.startswith(mode) for key in ["cls_token", "mean_tokens", "max_tokens"]}
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16} | flags, indent=2) + "\n")
    made.no_padding()
    made.enable_truncation(longest)
    rows = []
    for text in TEXTS:  # one at a time: no padding in the expected values
        ids = torch.tensor([made.encode(text).ids])
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        rows.append(pooled(states, torch.ones_like(ids), mode, normalise)[0].tolist())
    write(folder / "expected.json", TEXTS, rows)


def write(path, texts, rows):
    lines = ",\n".join("  " + json.dumps([float(f"{value:.9g}") for value in row]) for row in rows)
    path.write_text('{"texts": ' + json.dumps(texts) + ',\n"vectors": [\n' + lines + "\n]}\n")


def minilm(folder):
    texts = [
        "The Godfather (1972) Crime, Drama",
        "wawo 15 color professionl makeup eyeshadow",
        "Amélie — le fabuleux destin d'Amélie Poulain, 2001",
        "word " * 400,
    ]
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    made = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        batch = made(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        rows.append(pooled(states, batch["attention_mask"], "mean", True)[0].tolist())
    write(HERE / "minilm.json", texts, rows)


if len(sys.argv) > 2 and sys.argv[1] == "--minilm":
    minilm(sys.argv[2])
else:
    family("bert", lambda v, p: BertModel(small(BertConfig, v, p)), True, "mean", True, ["", "1_Pooling"], 20)
    family("roberta", lambda v, p: RobertaModel(small(RobertaConfig, v, p, type_vocab_size=1)), False, "cls", False, ["0_Transformer"], 24, torch.bfloat16)
    family("mpnet", lambda v, p: MPNetModel(small(MPNetConfig, v, p)), False, "max", True, [""], 24)
    distilbert = lambda v, p: DistilBertConfig(
        vocab_size=v, dim=16, n_layers=2, n_heads=4, hidden_dim=24, max_position_embeddings=26, pad_token_id=p,
        initializer_range=0.4,
    )
    family("distilbert", lambda v, p: DistilBertModel(distilbert(v, p)), True, "mean", False, [], 26, torch.float16)
