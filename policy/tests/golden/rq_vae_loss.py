#!/usr/bin/env python3
"""Golden values for `rq_vae_loss`, in numpy f64 from the formula; gradients by hand.

Prints the arrays as Rust would read them: one JSON object. Needs numpy. Run:  python3 rq_vae_loss.py > rq_vae_loss.json
"""
import json

import numpy as np

rng = np.random.default_rng(20260115)
items, width, latent, lam = 3, 4, 2, 0.25
x = rng.normal(size=(items, width)).round(3)
x_hat = rng.normal(size=(items, width)).round(3)
residuals = rng.normal(size=(2, items, latent)).round(3)
codewords = rng.normal(size=(2, items, latent)).round(3)

reconstruction = sum(float(np.dot(a - b, a - b)) for a, b in zip(x, x_hat)) / items
distance = sum(
    float(np.dot(r - z, r - z)) for rs, zs in zip(residuals, codewords) for r, z in zip(rs, zs)
) / items
print(
    json.dumps(
        {
            "x": x.tolist(),
            "x_hat": x_hat.tolist(),
            "residuals": residuals.tolist(),
            "codewords": codewords.tolist(),
            "commitment": lam,
            "loss_with_codebook_term": reconstruction + 2 * lam * distance,
            "loss_without": reconstruction + lam * distance,
            # Stop-gradients: the commitment term moves only R_d, the codebook term only Z_d.
            "gradient_residuals": (2 * lam * (residuals - codewords) / items).tolist(),
            "gradient_codewords": (2 * lam * (codewords - residuals) / items).tolist(),
            "gradient_x_hat": (2 * (x_hat - x) / items).tolist(),
        },
        indent=1,
    )
)
