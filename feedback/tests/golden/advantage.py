"""Golden advantages, by numpy: (r - mean) / max(sample std, floor). Run: python advantage.py > advantage.json"""

import json

import numpy as np

CASES = [
    ([1.0, 2.0, 3.0, 4.0], 1e-4),
    ([0.3125, -0.1, 0.77, 0.77, 0.05, -0.42, 0.0, 1.0], 1e-4),
    ([0.5, 0.50001], 1e-3),
    ([-0.9, 0.1, 0.1, 0.1, 0.1], 1e-6),
]

result = []
for rewards, floor in CASES:
    r = np.array(rewards)
    std = r.std(ddof=1)
    advantages = (r - r.mean()) / max(std, floor)
    result.append(
        {"rewards": rewards, "floor": floor, "mean": r.mean(), "std": std, "advantages": advantages.tolist()}
    )
print(json.dumps(result, indent=1))
