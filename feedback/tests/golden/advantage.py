"""Golden advantages, by numpy: (r - mean) / max(std, floor), and r minus the mean of the OTHER completions.

With weights, mean and variance are found pair by pair: var = half the weighted mean of (r_i - r_j)^2 over pairs i != j,
which for equal weights is the sample variance. Run: python advantage.py > advantage.json"""

import json

import numpy as np

REWARDS = [0.3125, -0.1, 0.77, 0.77, 0.05, -0.42, 0.0, 1.0]
CASES = [
    ([1.0, 2.0, 3.0, 4.0], None, 1e-4),
    (REWARDS, None, 1e-4),
    ([0.5, 0.50001], None, 1e-3),
    ([-0.9, 0.1, 0.1, 0.1, 0.1], None, 1e-6),
    (REWARDS, [0.3, 0.01, 0.2, 0.04, 0.15, 0.1, 0.12, 0.08], 1e-4),
    ([0.2, 0.9, -0.3], [0.98, 0.015, 0.005], 1e-4),
    ([0.1, 0.4], [3.0, 1.0], 1.0),
]

result = []
for rewards, weights, floor in CASES:
    r = np.array(rewards)
    if weights is None:
        w, mean, std = np.full(len(r), 1 / len(r)), r.mean(), r.std(ddof=1)
    else:
        w = np.array(weights) / np.sum(weights)
        mean = np.average(r, weights=weights)
        pairs = [(w[i] * w[j], (r[i] - r[j]) ** 2) for i in range(len(r)) for j in range(len(r)) if i != j]
        std = np.sqrt(0.5 * sum(p * d for p, d in pairs) / sum(p for p, _ in pairs))
    others = [np.average(np.delete(r, i), weights=np.delete(w, i)) for i in range(len(r))]
    result.append(
        {
            "rewards": rewards, "weights": weights, "floor": floor, "mean": mean, "std": std,
            "advantages": ((r - mean) / max(std, floor)).tolist(), "leave_one_out": (r - others).tolist(),
        }
    )
print(json.dumps(result))
