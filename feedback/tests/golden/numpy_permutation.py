"""Prints the permutations that src/numpy_random.rs is tested against (numpy 2.4.6)."""
import numpy as np

random = np.random.default_rng(7)
for n in (5, 0, 1, 12):
    print("seed 7, n", n, random.permutation(n).tolist())
print("seed 2**40 + 5, n 20", np.random.default_rng(2**40 + 5).permutation(20).tolist())
random = np.random.default_rng(0)
print("seed 0, n 3000", random.permutation(3000)[:6].tolist(), "then n 9", random.permutation(9).tolist())
