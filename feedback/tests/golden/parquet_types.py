"""Writes the Parquet files beside it, which feedback/src/readers/tests/tables.rs reads, with pyarrow (made with 26.0.1).

The same six rows in several types and compressions: what other programs write, not what ours does.
"""

import datetime
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

folder = pathlib.Path(__file__).parent
SECONDS = [1395421500, 1395421501, 1395421502, 1395421503, 1395421504, 1395421505]
USERS = ["7", "7", "8", "8", "é", "é"]
ITEMS = [1, 2, 3, 1, 2, 3]
RATINGS = [1, 5, 3, 1, None, 5]
TAGS = [["a", "b"], [], None, ["a"], ["c"], ["d", "a"]]
times = [datetime.datetime.fromtimestamp(s, datetime.timezone.utc).replace(tzinfo=None) for s in SECONDS]


def write(name, columns, **options):
    pq.write_table(pa.table(columns), folder / name, **options)


write(
    "texts-zstd.parquet",
    {
        "user": pa.array(USERS).dictionary_encode(),
        "item": pa.array([str(i) for i in ITEMS], pa.large_string()),
        "rating": pa.array(RATINGS, pa.float32()),
        "time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "tags": pa.array(TAGS, pa.list_(pa.string())),
    },
    compression="zstd",
    row_group_size=2,
)
write(
    "numbers-gzip.parquet",
    {
        "tags": pa.array(TAGS, pa.large_list(pa.string())),
        "time": pa.array(times, pa.timestamp("ns")),
        "rating": pa.array(RATINGS, pa.int8()),
        "item": pa.array(ITEMS, pa.uint64()),
        "user": pa.array([u.encode() for u in USERS], pa.binary()),
    },
    compression="gzip",
    data_page_version="2.0",
)
write(
    "plain-lz4.parquet",
    {
        "user": USERS,
        "item": pa.array(ITEMS, pa.int16()),
        "rating": pa.array(RATINGS, pa.float64()),
        "time": pa.array(times, pa.timestamp("ms")),
        "tags": pa.array(TAGS, pa.list_(pa.string())),
    },
    compression="lz4",
    use_dictionary=False,
)
