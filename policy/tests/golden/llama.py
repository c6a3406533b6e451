"""Hidden states of a tiny Llama with grouped key heads and LoRA, in plain numpy (f64): writes llama.json.

Weights follow a formula of their flat index, so that the file holds inputs and results only. Rotary embedding is the
rotate-half form of Hugging Face's modeling_llama; LoRA is PEFT's (alpha / r) B A."""
import json
import numpy as np

V, D, L, H, KV, I, R, SCALE = 23, 16, 2, 4, 2, 24, 3, 1.7
THETA, EPS, HD = 10000.0, 1e-5, 4

offset = 0
def take(rule, *shape):
    global offset
    n = int(np.prod(shape)); i = np.arange(offset, offset + n, dtype=np.float64); offset += n
    return rule(i).reshape(shape)
weight = lambda i: 0.35 * np.sin(1.3 * i + 0.1)
norm = lambda i: 1.0 + 0.2 * np.sin(0.7 * i)
adapter = lambda i: 0.25 * np.cos(0.9 * i + 0.2)

E = take(weight, V, D); layers = []
for _ in range(L):
    layers.append(dict(n1=take(norm, D), q=take(weight, H * HD, D), k=take(weight, KV * HD, D), v=take(weight, KV * HD, D),
                       o=take(weight, D, H * HD), n2=take(norm, D), g=take(weight, I, D), u=take(weight, I, D), d=take(weight, D, I)))
final = take(norm, D); base_length = offset; offset = 0
adapters = []
for _ in range(L):
    a = {}
    for group in (("q", "k", "v"), ("o",), ("g", "u"), ("d",)):
        for m in group: a[m] = [take(adapter, R, layers[0][m].shape[1]), None]
        for m in group: a[m][1] = take(adapter, layers[0][m].shape[0], R)
    adapters.append(a)
lora_length = offset

def rms(x, w): return x / np.sqrt((x ** 2).mean(-1, keepdims=True) + EPS) * w
def rotate(x, pos):                                   # [n, heads, HD]
    f = 1.0 / THETA ** (np.arange(0, HD, 2) / HD); a = np.outer(pos, f); a = np.concatenate([a, a], -1)[:, None]
    half = np.concatenate([-x[..., HD // 2:], x[..., :HD // 2]], -1)
    return x * np.cos(a) + half * np.sin(a)

def forward(tokens, lora):
    x = E[tokens]; n = len(tokens); pos = np.arange(n)
    for w, a in zip(layers, adapters):
        W = lambda m: w[m] + SCALE * a[m][1] @ a[m][0] if lora else w[m]
        h = rms(x, w["n1"])
        q = rotate((h @ W("q").T).reshape(n, H, HD), pos); k = rotate((h @ W("k").T).reshape(n, KV, HD), pos)
        v = (h @ W("v").T).reshape(n, KV, HD); out = np.zeros((n, H, HD))
        for head in range(H):
            kv = head // (H // KV); s = q[:, head] @ k[:, kv].T / np.sqrt(HD)
            s[np.triu_indices(n, 1)] = -np.inf; p = np.exp(s - s.max(-1, keepdims=True)); p /= p.sum(-1, keepdims=True)
            out[:, head] = p @ v[:, kv]
        x = x + out.reshape(n, -1) @ W("o").T
        h = rms(x, w["n2"]); g = h @ W("g").T
        x = x + (g / (1 + np.exp(-g)) * (h @ W("u").T)) @ W("d").T
    return rms(x, final)

cases = []
for tokens in ([1, 7, 19, 3, 22, 11, 2], [1, 5, 5, 2], [9]):
    for lora in (False, True):
        hidden = forward(tokens, lora)
        cases.append(dict(tokens=tokens, lora=lora, hidden=hidden.tolist(), logits=(hidden[-1] @ E.T).tolist()))
shape = dict(vocab=V, hidden=D, layers=L, heads=H, kv_heads=KV, intermediate=I, rank=R, scale=SCALE, base_length=base_length, lora_length=lora_length)
json.dump(dict(shape=shape, cases=cases), open("llama.json", "w"))
