"""Baselines on MovieTweetings, computed apart from the program: the expected values of tests/reference_baselines.rs.

Usage: reference_baselines.py FOLDER_WITH_RATINGS_AND_MOVIES   (numpy 2.4, scipy, scikit-learn 1.9)
Protocol `refit`, test window; ties in a ranking go to the lower item index; the SVD is exact.
"""
import re
import sys
from collections import defaultdict

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import svds
from sklearn.feature_extraction.text import TfidfVectorizer

FOLDER, DAY = sys.argv[1], 86400
movies = {}
for line in open(f"{FOLDER}/movies.dat", encoding="utf-8"):
    key, title, genres = line.rstrip("\n").split("::")
    movies.setdefault(key, (title, genres))
index = {key: n for n, key in enumerate(movies)}
N = len(index)
rows = [line.rstrip("\n").split("::") for line in open(f"{FOLDER}/ratings.dat")]
users = {u: n for n, u in enumerate(sorted({int(r[0]) for r in rows}))}
events = np.array(sorted((int(t), users[int(u)], index[i], int(r)) for u, i, r, t in rows))
test_to = events[-1, 0] - 7 * DAY
start = test_to - 25 * DAY
train = events[events[:, 0] < start]
train_neg = train[train[:, 3] <= 5]
catalogue = np.zeros(N, bool)
catalogue[train[:, 2]] = True
of_user = defaultdict(list)
for event in events:
    of_user[event[1]].append(event)
of_user = {u: np.array(e) for u, e in of_user.items()}

instances = []
for t0, user, item, rating in events[(events[:, 0] >= start) & (events[:, 0] < test_to) & (events[:, 3] <= 5)]:
    own = of_user[user]
    past, horizon = own[own[:, 0] < t0], own[(own[:, 0] >= t0) & (own[:, 0] < t0 + 7 * DAY)]
    bad, good = set(horizon[horizon[:, 3] <= 5, 2]), set(horizon[horizon[:, 3] >= 7, 2])
    instances.append((t0, user, item, past, bad - good, good - bad))

random = np.random.default_rng(0)
candidates = []
for t0, user, item, past, bad, _ in instances:
    day = events[(events[:, 0] // DAY == t0 // DAY) & (events[:, 1] != user)][:, 2]
    barred, drawn = set(past[:, 2]) | bad, [item]
    for other in day[random.permutation(len(day))]:
        if len(drawn) < 20 and other not in barred:
            drawn.append(other)
            barred.add(other)
    candidates.append(drawn)

user_neg, item_neg = np.bincount(train_neg[:, 1], minlength=len(users)), np.bincount(train_neg[:, 2], minlength=N)


def disliked(past):
    return past[past[:, 3] <= 5, 2]


def table(name, score, rated=False):
    sums, accuracy = defaultdict(list), []
    for (t0, user, item, past, bad, good), drawn in zip(instances, candidates):
        s = np.array(score(past), float)
        c = np.maximum(s[drawn], -1e9)
        accuracy.append((c[0] == c.max()) / (c == c.max()).sum())
        s[~catalogue] = -np.inf
        s[past[:, 2] if rated else disliked(past)] = -np.inf
        best = np.argsort(-s, kind="stable")[:20]
        top = set(best[np.isfinite(s[best])])
        sums["hr"].append(item in top)
        sums["fhr"].append(bool(top & bad))
        sums["frecall"].append(len(top & bad) / len(bad))
        if user_neg[user] < 3:
            sums["luf"].append(bool(top & bad))
        rare = {i for i in bad if item_neg[i] < 5}
        if rare:
            sums["lif"].append(bool(top & rare))
        if good:
            sums["pos_hit"].append(bool(top & good))
    values = [np.mean(sums[m]) for m in ("hr", "fhr", "frecall", "luf", "lif", "pos_hit")] + [np.mean(accuracy)]
    print(f'("{name}", [' + ", ".join(f"{v:.4f}" for v in values) + "]),", flush=True)


def counts(days, which):
    return np.bincount(which[which[:, 0] >= start - days * DAY, 2], minlength=N).astype(float)


print(len(instances), len({i[1] for i in instances}), catalogue.sum())
for name, value in (("neg_pop", counts(9999, train_neg)), ("neg_pop_7d", counts(7, train_neg)),
                    ("neg_pop_28d", counts(28, train_neg)), ("pop_7d", counts(7, train))):
    table(name, lambda past: value)
table("neg_pop_28d, rated removed", lambda past: counts(28, train_neg), rated=True)

X = sparse.csr_matrix((np.ones(len(train_neg)), (train_neg[:, 1], train_neg[:, 2])), shape=(len(users), N))
co = (X.T @ X).tocoo()
knn = co.data / (np.sqrt(item_neg[co.row] * item_neg[co.col]) + 5) * (co.row != co.col)
knn = sparse.csr_matrix((knn, (co.row, co.col)), shape=(N, N))
weight = (np.asarray(X.sum(1)).ravel() + 5) ** -0.35
swing = defaultdict(float)
pairs = sparse.triu(X @ X.T, 1).tocoo()
for u, v, common in zip(pairs.row, pairs.col, pairs.data):
    if common > 1:
        both = np.intersect1d(X[u].indices, X[v].indices)
        for i in both:
            for j in both:
                if i != j:
                    swing[i, j] += weight[u] * weight[v] / (common + 1)
shared = (X.T @ X).tocsr()
near = defaultdict(list)
for (i, j), value in swing.items():
    if shared[i, j] > 1:
        near[i].append((-value / np.sqrt(item_neg[j]), j))
kept = [(i, j, -v) for i, found in near.items() for v, j in sorted(found)[:10]]
swing = sparse.csr_matrix(([k[2] for k in kept], ([k[0] for k in kept], [k[1] for k in kept])), shape=(N, N))
for name, matrix in (("item_knn", knn), ("swing", swing)):
    def score(past):
        s = np.asarray(matrix[disliked(past)].sum(0)).ravel()
        return np.where(s > 0, s, -np.inf)
    table(name, score)

text = []
for title, genres in movies.values():
    name, year = re.fullmatch(r"(.*)\((\d{4})\)", title).groups()
    kinds = " ".join("genre_" + re.sub("[- ]", "", g) for g in genres.split("|") if g)
    text.append(f"{name} {kinds} year_{year} decade_{year[:3]}")
text = np.array(text, dtype=object)
model = TfidfVectorizer(min_df=2, token_pattern=r"(?u)\b\w+\b", sublinear_tf=True).fit(text[catalogue])
features = model.transform(text)
Z = features @ svds(features[catalogue], k=64, tol=1e-10)[2].T
Z /= np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-9)


def rocchio(past, gamma):
    liked, s = past[past[:, 3] >= 7, 2], np.zeros(N)
    if len(disliked(past)):
        s += (Z @ Z[disliked(past)].T).max(1)
    if gamma and len(liked):
        s -= gamma * (Z @ Z[liked].T).max(1)
    return s


rate = (item_neg + 5 * len(train_neg) / len(train)) / (np.bincount(train[:, 2], minlength=N) + 5)
table("rocchio, gamma 0", lambda past: rocchio(past, 0))
table("rocchio", lambda past: rocchio(past, 0.5))
table("dislike_rate", lambda past: rate)
table("dislike_rate_content", lambda past: np.log(rate) + 2 * rocchio(past, 0))
