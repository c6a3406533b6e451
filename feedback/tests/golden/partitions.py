"""Expected values of adjusted mutual information and adjusted Rand index, by scikit-learn.

    python3 partitions.py > partitions.json
"""

import json

import numpy
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

rng = numpy.random.default_rng(5)
cases = []
for items, first, second, noise in [(8, 3, 2, 1.0), (60, 5, 5, 0.3), (200, 40, 12, 0.5), (200, 150, 150, 0.2), (300, 6, 9, 1.0)]:
    a = rng.integers(0, first, items)
    b = numpy.where(rng.random(items) < noise, rng.integers(0, second, items), a * 7 + 3)
    cases.append({
        "first": a.tolist(),
        "second": b.tolist(),
        "ami": adjusted_mutual_info_score(a, b),
        "ari": adjusted_rand_score(a, b),
    })
print(json.dumps(cases))
