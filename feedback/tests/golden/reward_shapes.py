"""Golden values of the reward's shapes, by numpy from the formulas of docs/rewards.md; nothing is taken from the Rust code.

Run: python reward_shapes.py > reward_shapes.json
"""

import itertools
import json

import numpy as np

rng = np.random.default_rng(7)
LEVELS, CODES, CELLS, LATENT, GROUP = 3, 3, 10, 4, 6
GAMMA, TRUNCATE, ALPHA, HIT_WEIGHT = 0.5, 0.4, 0.3, 0.25

# Cells are the distinct tuples in lexicographic order; 14 items lie in 10 cells, some cells hold two.
tuples = sorted(itertools.product(range(CODES), repeat=LEVELS))
cells = sorted(tuples[i] for i in rng.choice(len(tuples), CELLS, replace=False))
cell_of_item = np.concatenate([np.arange(CELLS), rng.integers(0, CELLS, 4)])
vectors = rng.normal(size=(CELLS, LATENT)).astype(np.float32)
negatives_of_item = rng.integers(0, 6, len(cell_of_item))

centred = vectors.astype(float) - vectors.astype(float)[cell_of_item].mean(0)
unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
cosine = unit @ unit.T
popularity = np.bincount(cell_of_item, weights=negatives_of_item, minlength=CELLS)


def some(low, high):
    return sorted(rng.choice(CELLS, rng.integers(low, high), replace=False).tolist())


# Prompts 0 and 3 belong to one user; prompt 4 has no negative with a cell.
lease = [
    {"user": user, "negatives": some(1, 5) if user != 9 else [], "positives": some(0, 4), "excluded": some(1, 4)}
    for user in [1, 2, 3, 1, 9]
]
groups = [rng.integers(0, CELLS, GROUP).tolist() for _ in lease]
groups[1] = [groups[1][0]] * GROUP


def cut(x):
    return np.where(x > TRUNCATE, x, 0.0)


def common(o, t):
    equal = [a == b for a, b in zip(cells[o], cells[t])]
    n = equal.index(False) if False in equal else LEVELS
    return 0.0 if n == 0 else 10.0 ** (n - LEVELS)


def reward(variant, o, p):
    if not p["negatives"]:
        return None
    if variant == "e":
        return max(common(o, t) for t in p["negatives"])
    neg = cosine[o, p["negatives"]].max()
    pos = cosine[o, p["positives"]].max() if p["positives"] else 0.0
    return float(
        {"a": neg, "b": cut(neg), "c": neg - GAMMA * pos, "d": cut(neg) - GAMMA * cut(pos) if p["positives"] else cut(neg)}[variant]
    )


def cover(variant, o, t):
    if variant == "e":
        return common(o, t)
    x = cosine[o, t]
    return max(0.0, float(cut(x) if variant in "bd" else x))


def coverage(variant, group, p):
    def of(targets):
        return sum(max([cover(variant, o, t) for o in group], default=0.0) for t in targets)

    return of(p["negatives"]) - (GAMMA * of(p["positives"]) if variant in "cd" else 0.0)


def without(group, i):
    return group[:i] + group[i + 1 :]


def shaped(shape, variant, unpaid, at):
    p, group = lease[at], groups[at]
    if not p["negatives"]:
        return [None] * GROUP
    out = [unpaid and o in p["excluded"] for o in group]
    fair = [None if skip else o for o, skip in zip(group, out)]
    live = lambda g: [o for o in g if o is not None]
    hits = lambda g: float(any(o in p["negatives"] for o in live(g)))
    result = []
    for i, o in enumerate(group):
        if shape == "single":
            value = reward(variant, o, p)
        elif shape == "popularity_aware":
            value = reward(variant, o, p) - ALPHA * np.log((popularity[o] + 1) / (popularity.mean() + 1))
        elif shape == "lift":
            others = [reward(variant, o, q) for q in lease if q["user"] != p["user"]]
            value = reward(variant, o, p) - np.mean([r for r in others if r is not None])
        elif shape == "set":
            value = coverage(variant, live(fair), p) - coverage(variant, live(without(fair, i)), p)
        elif shape == "hit":
            value = float(o in p["negatives"])
        else:
            value = hits(fair) - hits(without(fair, i))
        value += HIT_WEIGHT * (o in p["negatives"])
        result.append(0.0 if out[i] else float(value))
    return result


cases = [
    {"shape": shape, "variant": variant, "unpaid": unpaid, "rewards": [[v if v is None else round(v, 9) for v in shaped(shape, variant, unpaid, at)] for at in range(len(lease))]}
    for shape in ["single", "lift", "set", "hit", "set_hit", "popularity_aware"]
    for variant in ["a", "b", "c", "d", "e"]
    for unpaid in [False, True]
    if shape not in ("hit", "set_hit") or variant == "c"
]
print(
    json.dumps(
        {
            "levels": LEVELS,
            "codes": CODES,
            "latent": LATENT,
            "gamma": GAMMA,
            "truncate_below": TRUNCATE,
            "alpha": ALPHA,
            "hit_weight": HIT_WEIGHT,
            "codes_of_item": [c for item in cell_of_item for c in cells[item]],
            "vectors": [float(x) for x in vectors.ravel()],
            "negatives_of_item": negatives_of_item.tolist(),
            "lease": lease,
            "groups": groups,
            "cases": cases,
        }
    )
)
