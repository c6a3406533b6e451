"""Writes the vector files that the tests of `vector_files` read; run it in this folder: python3 make_vectors.py

Needs numpy and pyarrow. The matrix is [[0.5, -1.25, 3], [2, 0.1, -7]] with the keys b and a."""

import numpy
import pyarrow
import pyarrow.parquet

MATRIX = numpy.array([[0.5, -1.25, 3.0], [2.0, 0.1, -7.0]])

for version in [(1, 0), (2, 0), (3, 0)]:
    for kind in ["float32", "float64"]:
        with open(f"v{version[0]}_{kind}.npy", "wb") as file:
            numpy.lib.format.write_array(file, MATRIX.astype(kind), version=version)
numpy.save("fortran.npy", numpy.asfortranarray(MATRIX))
numpy.save("integers.npy", MATRIX.astype("int32"))
numpy.save("big_endian.npy", MATRIX.astype(">f4"))
numpy.save("half.npy", MATRIX.astype("float16"))
numpy.save("half_fortran.npy", numpy.asfortranarray(MATRIX.astype(">f2")))

lists = pyarrow.array(MATRIX.tolist(), pyarrow.list_(pyarrow.float32()))
pyarrow.parquet.write_table(pyarrow.table({"key": ["b", "a"], "vector": lists}), "lists.parquet")
fixed = pyarrow.FixedSizeListArray.from_arrays(MATRIX.reshape(-1), 3)
keys = pyarrow.array([12, 7], pyarrow.int64())
pyarrow.parquet.write_table(pyarrow.table({"key": keys, "vector": fixed}), "fixed.parquet")
columns = {"key": ["b", "a"]} | {f"d{i}": MATRIX[:, i] for i in range(3)}
pyarrow.parquet.write_table(pyarrow.table(columns), "columns.parquet")
ragged = pyarrow.array([[1.0, 2.0], [3.0]], pyarrow.list_(pyarrow.float64()))
pyarrow.parquet.write_table(pyarrow.table({"key": ["b", "a"], "vector": ragged}), "ragged.parquet")
pyarrow.parquet.write_table(pyarrow.table({"item": ["b"], "vector": lists[:1]}), "no_key.parquet")

# Types that pyarrow notes beside the columns' own: keys by number of a dictionary and as views, values of 16 bits.
dictionary = pyarrow.array(["b", "a"]).dictionary_encode()
halves = pyarrow.array(MATRIX.astype("float16").tolist(), pyarrow.list_(pyarrow.float16()))
pyarrow.parquet.write_table(pyarrow.table({"key": dictionary, "vector": halves}), "dictionary.parquet")
views = pyarrow.array(["b", "a"], pyarrow.string_view())
columns = {"key": views} | {f"d{i}": MATRIX[:, i].astype("float16") for i in range(3)}
pyarrow.parquet.write_table(pyarrow.table(columns), "views.parquet")
large = pyarrow.array(MATRIX.tolist(), pyarrow.large_list(pyarrow.float32()))
unsigned = pyarrow.array([2**64 - 1, 7], pyarrow.uint64())
pyarrow.parquet.write_table(pyarrow.table({"key": unsigned, "vector": large}), "unsigned.parquet")
