#!/usr/bin/env python3
"""Golden values for SASRec's attention block (Kang and McAuley, 2018, equations 3 to 7), in numpy f64 with explicit loops
over positions and heads. Needs numpy. Run:  python3 sasrec.py > sasrec.json
"""
import json

import numpy as np

rng = np.random.default_rng(20180827)
EPS = 1e-8


def norm(row, weight, bias):
    centred = row - row.mean()
    return centred / np.sqrt((centred**2).mean() + EPS) * weight + bias


def block(x, w, heads):
    length, d = x.shape
    width = d // heads
    normed = np.array([norm(row, w["an_w"], w["an_b"]) for row in x])
    q, k, v = (np.array([w[name] @ row for row in normed]) for name in ("q", "k", "v"))
    out = np.zeros_like(x)
    for t in range(length):
        attended = np.zeros(d)
        for head in range(heads):
            of = slice(head * width, (head + 1) * width)
            scores = np.array([q[t, of] @ k[u, of] / np.sqrt(width) for u in range(t + 1)])
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            attended[of] = sum(share * v[u, of] for u, share in enumerate(shares))
        s = x[t] + attended
        inner = np.maximum(w["w1"] @ norm(s, w["fn_w"], w["fn_b"]) + w["b1"], 0.0)
        out[t] = s + w["w2"] @ inner + w["b2"]
    return out


cases = []
for heads in (1, 2):
    d, sequences, length = 4, 2, 3
    shapes = {
        "an_w": (d,), "an_b": (d,), "q": (d, d), "k": (d, d), "v": (d, d),
        "fn_w": (d,), "fn_b": (d,), "w1": (d, d), "b1": (d,), "w2": (d, d), "b2": (d,),
    }
    w = {name: rng.normal(size=shape).round(3) for name, shape in shapes.items()}
    x = rng.normal(size=(sequences, length, d)).round(3)
    out = np.array([block(sequence, w, heads) for sequence in x])
    cases.append(
        {
            "heads": heads,
            "d": d,
            "sequences": sequences,
            "weights": np.concatenate([w[name].ravel() for name in shapes]).tolist(),
            "x": x.ravel().tolist(),
            "out": out.ravel().tolist(),
        }
    )
print(json.dumps(cases, indent=1))
