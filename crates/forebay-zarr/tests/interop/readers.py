"""Opens arrays with zarr-python and with TensorStore and compares them with what they should hold.

One JSON object a line comes in and one goes out, `{}` when both readers agree with it, else `{"error": ...}`:

    path         the array
    shape, chunks, shards, dtype
    expected     a file with all elements in C order
    fill         the bytes of the fill value, in hexadecimal
    names        the names of the dimensions, or null
    attributes
"""

import json
import sys
import traceback

import numpy as np
import tensorstore
import zarr


def main():
    for line in sys.stdin:
        try:
            compare(json.loads(line))
            answer = {}
        except Exception:  # whatever a reader raises is the answer
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


def compare(job):
    dtype = np.dtype(job["dtype"])
    expected = np.fromfile(job["expected"], dtype=dtype).reshape(job["shape"])
    fill = np.frombuffer(bytes.fromhex(job["fill"]), dtype=dtype)[0]
    for read in (with_zarr, with_tensorstore):
        got = read(job)
        for what, want in [
            ("shape", tuple(job["shape"])),
            ("dtype", dtype),
            ("chunks", tuple(job["chunks"])),
            ("shards", tuple(job["shards"])),
            ("names", job["names"]),
            ("attributes", job["attributes"]),
        ]:
            same(got[what] == want, read, what, got[what], want)
        same(bits(got["fill"]) == bits(fill), read, "fill", got["fill"], fill)
        elements = got["elements"]
        same(elements.dtype == dtype and elements.shape == expected.shape, read, "elements", elements.dtype, dtype)
        if bits(elements) != bits(expected):
            size = dtype.itemsize
            differing = (raw(elements, size) != raw(expected, size)).any(axis=-1)
            at = tuple(int(axis[0]) for axis in np.nonzero(differing))
            same(False, read, f"{differing.sum()} elements; the first, at {at},", elements[at], expected[at])


def same(equal, read, what, got, want):
    if not equal:
        raise AssertionError(f"{read.__name__}: {what}: got {got!r}, wanted {want!r}")


def bits(value):
    return np.ascontiguousarray(value).tobytes()


def raw(array, size):
    return np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, size)


def with_zarr(job):
    array = zarr.open_array(job["path"], mode="r")
    names = array.metadata.dimension_names
    return {
        "shape": array.shape,
        "dtype": array.dtype,
        "chunks": array.chunks,
        "shards": array.shards,
        "names": None if names is None else list(names),
        "attributes": dict(array.attrs),
        "fill": np.array(array.fill_value, dtype=job["dtype"]),
        "elements": array[...],
    }


def with_tensorstore(job):
    array = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": job["path"]}}, read=True).result()
    metadata = array.spec().to_json()["metadata"]
    names = list(array.domain.labels)
    return {
        "shape": array.shape,
        "dtype": array.dtype.numpy_dtype,
        "chunks": array.chunk_layout.read_chunk.shape,
        "shards": array.chunk_layout.write_chunk.shape,
        # Without names the labels are empty.
        "names": names if any(names) else None,
        "attributes": metadata.get("attributes", {}),
        "fill": np.array(array.fill_value, dtype=job["dtype"]),
        "elements": array.read().result(),
    }


if __name__ == "__main__":
    main()
