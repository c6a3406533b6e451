"""Masked log-probabilities, exact KL, entropy and the GRPO loss with its gradient, in plain numpy (f64): writes grpo.json.

The gradient with respect to the logits is found by central differences, so nothing of it is derived by hand."""
import json
import numpy as np

g = np.random.default_rng(7)
N, K, T, BETA, LOW, HIGH = 8, 5, 0.7, 0.3, 0.2, 0.28
z, z_ref, z_old = (g.normal(size=(N, K)) * s for s in (1.5, 1.2, 1.4))
legal = g.random((N, K)) < 0.6
legal[0] = [False, False, True, False, False]      # forced
legal[1] = True
for row in legal:
    if row.sum() == 0: row[1] = True
code = np.array([int(g.choice(np.flatnonzero(row))) for row in legal])
z_old[2] = z[2]                                    # rho = 1
z_old[3] = z[3]; z_old[3, code[3]] += 2.0          # rho far below 1
z_old[4] = z[4]; z_old[4, code[4]] -= 2.0          # rho far above 1
z_old[6] = z[6]; z_old[6, code[6]] -= 2.0          # far above 1 with a negative advantage: not clipped
z_old[7] = z[7]; z_old[7, code[7]] += 2.0          # far below 1 with a positive one: not clipped
legal[[3, 4, 6, 7]] = True
advantage = np.array([1.0, -0.5, 0.8, -1.2, 1.4, 0.9, -0.7, 1.1])
weight = np.array([0.0, 1 / 6, 1 / 6, 1 / 4, 1 / 4, 1 / 2, 1 / 3, 1 / 3])

def log_probs(z):
    out = np.full(z.shape, np.nan)
    for i, row in enumerate(legal):
        x = z[i, row] / T; out[i, row] = x - x.max() - np.log(np.exp(x - x.max()).sum())
    return out
def kl(lp, ref): return np.array([sum(np.exp(lp[i, c]) * (lp[i, c] - ref[i, c]) for c in np.flatnonzero(legal[i])) for i in range(N)])
def entropy(lp): return np.array([-sum(np.exp(lp[i, c]) * lp[i, c] for c in np.flatnonzero(legal[i])) for i in range(N)])
def loss(z):
    lp, old, ref = log_probs(z), log_probs(z_old), log_probs(z_ref); k = kl(lp, ref); total = 0.0
    for i in range(N):
        rho = np.exp(lp[i, code[i]] - old[i, code[i]])
        total -= weight[i] * (min(rho * advantage[i], min(max(rho, 1 - LOW), 1 + HIGH) * advantage[i]) - BETA * k[i])
    return total
lp, old, ref = log_probs(z), log_probs(z_old), log_probs(z_ref)
gradient = np.zeros_like(z); h = 1e-6
for i in range(N):
    for c in range(K):
        d = np.zeros_like(z); d[i, c] = h; gradient[i, c] = (loss(z + d) - loss(z - d)) / (2 * h)
clean = lambda a: [[None if np.isnan(x) else x for x in row] for row in a.tolist()]
json.dump(dict(temperature=T, beta=BETA, low=LOW, high=HIGH, z=z.tolist(), z_ref=z_ref.tolist(), z_old=z_old.tolist(), legal=legal.tolist(),
               code=code.tolist(), advantage=advantage.tolist(), weight=weight.tolist(), log_probs=clean(lp), ratio=[float(np.exp(lp[i, code[i]] - old[i, code[i]])) for i in range(N)],
               kl=kl(lp, ref).tolist(), entropy=entropy(lp).tolist(), loss=loss(z), gradient=gradient.tolist()), open("grpo.json", "w"))
