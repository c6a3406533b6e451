"""AdamW as torch.optim.AdamW documents it, with clip_grad_norm_ before, in plain numpy (f64): writes adamw.json."""
import json
import numpy as np

g = np.random.default_rng(3); cases = []
for beta1, beta2, eps, decay, clip, rate in ((0.9, 0.999, 1e-8, 0.0, 1.0, 1e-3), (0.8, 0.99, 1e-6, 0.1, 0.0, 5e-2)):
    w = g.normal(size=7); m = np.zeros(7); v = np.zeros(7); start = w.copy(); gradients, norms, weights = [], [], []
    for t in range(1, 6):
        grad = g.normal(size=7) * 10.0 ** (t - 3); norm = np.sqrt((grad ** 2).sum()); gradients.append(grad.tolist()); norms.append(norm)
        if clip > 0: grad = grad * min(1.0, clip / (norm + 1e-6))
        w = w - rate * decay * w
        m = beta1 * m + (1 - beta1) * grad; v = beta2 * v + (1 - beta2) * grad ** 2
        w = w - rate * (m / (1 - beta1 ** t)) / (np.sqrt(v / (1 - beta2 ** t)) + eps); weights.append(w.tolist())
    cases.append(dict(beta1=beta1, beta2=beta2, eps=eps, decay=decay, clip=clip, rate=rate, start=start.tolist(), gradients=gradients, norms=norms, weights=weights))
json.dump(cases, open("adamw.json", "w"))
