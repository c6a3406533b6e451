"""Golden values of the schedule, by an independent ChaCha8 and Fisher-Yates. Run: python3 schedule.py > schedule.json"""
import json
import struct

M32, M64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def rotl(x, n):
    return ((x << n) | (x >> (32 - n))) & M32


def quarter(s, a, b, c, d):
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & M32
        s[z] = rotl(s[z] ^ s[x], n)


def chacha8_block(key, counter):
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
    start += [counter & M32, counter >> 32, 0, 0]
    s = start[:]
    for _ in range(4):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
            quarter(s, *q)
        for q in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, *q)
    return [(a + b) & M32 for a, b in zip(s, start)]


def words(key):
    counter = 0
    while True:
        yield from chacha8_block(key, counter)
        counter += 1


def epoch(seed, pass_number, stage, number, n):
    key = struct.pack("<QQIB3x", seed, number, stage, pass_number) + b"schedule"
    stream = words(key)
    order = list(range(n))
    for last in range(n - 1, 0, -1):
        low = next(stream)
        bits = low | (next(stream) << 32)
        place = bits * (last + 1) >> 64
        order[last], order[place] = order[place], order[last]
    return order


cases = []
for seed, pass_number, stage, number, n in ((0, 0, 0, 0, 10), (7, 1, 2, 3, 13), (2**63 - 1, 0, 4, 1, 40)):
    order = epoch(seed, pass_number, stage, number, n)
    cases.append({"seed": seed, "pass": pass_number, "stage": stage, "epoch": number, "n": n, "order": order})
print(json.dumps(cases, indent=1))
