"""The five losses, their gradients, clipped codes and ratios, by torch autograd in f64, and the anchor: writes losses.json.

Written from the papers' formulas completion by completion (GRPO 2402.03300, Dr. GRPO 2503.20783, DAPO 2503.14476,
GSPO 2507.18071, CISPO in 2506.13585), each normalised as its paper does for ONE batch of all groups; the Rust code
gets weights and a divisor instead. Codes that were forced have probability 1 and do not count."""
import json
import torch

torch.manual_seed(3)
LEVELS, G, BETA = 3, 4, 0.05
GROUPS = 3
N = GROUPS * G
d = dict(dtype=torch.float64)
forced = torch.rand(N, LEVELS) < 0.25
forced[:, 0] = False
new = (-2.5 * torch.rand(N, LEVELS, **d)).masked_fill(forced, 0.0)
old = (new + 0.5 * torch.randn(N, LEVELS, **d)).clamp(max=-0.01).masked_fill(forced, 0.0)
old[4] = new[4]                                     # a completion whose ratio is 1 throughout
kl = torch.rand(N, LEVELS, **d)
A = torch.randn(N, **d)
A[8:12] = 0.0                                       # a group without variance: left out altogether
used = [i for i in range(N) if i // G != 2]
CLIP = dict(grpo=(0.2, 0.2), dr_grpo=(0.2, 0.2), dapo=(0.2, 0.28), gspo=(0.05, 0.08), cispo=(1.0, 0.4))
length = [(~forced[i]).sum().item() for i in range(N)]
tokens = sum(length[i] for i in used)


def surrogate(r, a, low, high):
    return torch.minimum(r * a, torch.clamp(r, 1 - low, 1 + high) * a)


def objective(name, lp):
    low, high = CLIP[name]
    total, cut, ratios = 0.0, 0, []
    for i in used:
        s = torch.exp((lp[i] - old[i]).sum() / length[i])
        for t in range(LEVELS):
            if forced[i, t]:
                continue
            r = s if name == "gspo" else torch.exp(lp[i, t] - old[i, t])
            ratios.append(r.item())
            if name == "cispo":
                weight = torch.clamp(r, 1 - low, 1 + high).detach()
                cut += int(weight.item() != r.item())
                gain = weight * A[i] * lp[i, t]
            else:
                gain = surrogate(r, A[i], low, high)
                cut += int(gain.item() != (r * A[i]).item())
            gain = gain - BETA * kl[i, t]
            share = {"grpo": 1 / (GROUPS * G * length[i]), "dr_grpo": 1 / (GROUPS * G * LEVELS), "dapo": 1 / tokens,
                     "gspo": 1 / (GROUPS * G * length[i]), "cispo": 1 / tokens}[name]
            total = total + share * gain
    return -total, cut, ratios


cases = {}
for name in CLIP:
    lp = new.clone().requires_grad_(True)
    loss, cut, ratios = objective(name, lp)
    loss.backward()
    cases[name] = dict(low=CLIP[name][0], high=CLIP[name][1], loss=loss.item(), gradient=lp.grad.tolist(), clipped=cut,
                       ratio_sum=sum(ratios), ratio_squares=sum(r * r for r in ratios))

# The anchor: cross-entropy of one given completion a group, mean over its codes that were not forced, mean over groups;
# a group whose next negative has no semantic id adds nothing and counts all the same.
next_forced = torch.tensor([[False, False, True], [False, False, False], [False, True, True]])
given = (-3.0 * torch.rand(GROUPS, LEVELS, **d)).masked_fill(next_forced, 0.0).requires_grad_(True)
has_next = [True, False, True]
anchor = 0.0
for g in range(GROUPS):
    if has_next[g]:
        free = [t for t in range(LEVELS) if not next_forced[g, t]]
        anchor = anchor + sum(-given[g, t] for t in free) / len(free)
anchor = anchor / GROUPS
anchor.backward()
of_anchor = dict(given=given.tolist(), forced=next_forced.tolist(), has_next=has_next, loss=anchor.item(),
                 gradient=given.grad.masked_fill(next_forced, 0.0).tolist())
json.dump(dict(group=G, beta=BETA, new=new.tolist(), old=old.tolist(), kl=kl.tolist(), forced=forced.tolist(),
               advantage=A.tolist(), cases=cases, anchor=of_anchor), open("losses.json", "w"))
