"""One run of one peer: `python writers.py JOB`, where JOB is a JSON object. Prints what the run took as a JSON line.

The frames are read into memory and the peer is imported before the clock starts. Then, inside the timed part: the array
is created, the frames are handed over one after the other, the array is closed, and everything is synced. A peer that
has no `append` gets what its documentation asks for, whole shards: frames are copied into a buffer of one row of
shards, and full buffers are written. Every peer gets two threads.

    python writers.py check JOB     compares one frame of what a run has left
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

THREADS = 2
WARM = 4 << 30


def main():
    check = sys.argv[1] == "check"
    job = json.loads(sys.argv[-1])
    if check:
        return compare(job)
    frames = np.fromfile(job["frames_file"], dtype=np.uint16).reshape(-1, *job["frame"])
    # Where an append takes more than one frame, these lie side by side in memory as they would in a camera's buffer.
    per_append = job["frames_per_append"]
    appends = frames.reshape(-1, per_append, *job["frame"])
    make = WRITERS[job["writer"]]()
    warm()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    resident = memory("VmRSS")
    os.sync()  # nobody pays for what earlier runs have written
    times = []
    cpu = cpu_seconds()
    start = time.perf_counter()
    append, close = make(job)
    pace = job["bytes_per_second"]
    began = time.perf_counter()
    for number in range(job["frames"] // per_append):
        if pace:
            due = began + number * appends[0].nbytes / pace
            time.sleep(max(0.0, due - time.perf_counter()))
        if job["timed_appends"]:
            before = time.perf_counter()
            append(appends[number % len(appends)])
            times.append(time.perf_counter() - before)
        else:
            append(appends[number % len(appends)])
    close()
    os.sync()
    wall = time.perf_counter() - start
    cpu = cpu_seconds() - cpu
    times.sort()
    print(
        json.dumps(
            {
                "wall": wall,
                "cpu": cpu,
                "peak": memory("VmHWM") - resident,
                "longest": times[-1] if times else 0.0,
                "p99": times[len(times) * 99 // 100] if times else 0.0,
                "stored": sum(path.stat().st_size for path in Path(job["path"]).rglob("*") if path.is_file()),
            }
        )
    )


def compare(job):
    import zarr

    array = zarr.open_array(job["path"], mode="r")
    frames = np.memmap(job["frames_file"], dtype=np.uint16, mode="r").reshape(-1, *job["frame"])
    number = job["frames"] - 2
    assert array.shape == (job["frames"], *job["frame"]), f"shape {array.shape}"
    assert array.chunks == tuple(job["chunk"]) and array.shards == tuple(job["shard"]), f"{array.chunks} {array.shards}"
    assert np.array_equal(array[number], frames[number % len(frames)]), f"frame {number} has other contents"


def warm():
    """A virtual machine's host takes back memory that lies free for seconds, and giving it out anew costs ten times a
    page fault. So that this hits nobody by chance, everybody starts when that much has just been used and freed."""
    np.ones(WARM, dtype=np.uint8)


def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field}")


def cpu_seconds():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def acquire_zarr():
    import acquire_zarr as az

    def make(job):
        kinds = [az.DimensionType.TIME, az.DimensionType.SPACE, az.DimensionType.SPACE]
        compressors = {"blosc": (az.Compressor.BLOSC1, az.CompressionCodec.BLOSC_ZSTD, 1),
                       "zstd": (az.Compressor.ZSTD, az.CompressionCodec.ZSTD, 0)}
        compression = None
        if job["codec"] != "none":
            compressor, codec, shuffle = compressors[job["codec"]]
            compression = az.CompressionSettings(compressor=compressor, codec=codec, level=1, shuffle=shuffle)
        array = az.ArraySettings(
            dimensions=[
                az.Dimension(name=name, kind=kind, array_size_px=size, chunk_size_px=chunk,
                             shard_size_chunks=shard // chunk)
                for name, kind, size, chunk, shard in zip("tyx", kinds, [0, *job["frame"]], job["chunk"], job["shard"])
            ],
            data_type=az.DataType.UINT16,
            compression=compression,
        )
        stream = az.ZarrStream(az.StreamSettings(store_path=job["path"], max_threads=THREADS, arrays=[array]))
        return stream.append, stream.close

    return make


class Rows:
    """Copies frames into a buffer of one row of shards and starts `write(first, rows)` when it is full. `write` gives
    what waits for its end. With two buffers the next row fills meanwhile."""

    def __init__(self, job, write, buffers):
        depth = min(job["shard"][0], job["frames"])
        self.buffers = [np.zeros((depth, *job["frame"]), dtype=np.uint16) for _ in range(buffers)]
        self.waits = [lambda: None] * buffers
        self.write, self.turn, self.filled, self.first = write, 0, 0, 0

    def append(self, frames):
        buffer = self.buffers[self.turn]
        if self.filled == 0:
            self.waits[self.turn]()
        buffer[self.filled : self.filled + len(frames)] = frames
        self.filled += len(frames)
        if self.filled == len(buffer):
            self.flush()

    def flush(self):
        if self.filled:
            self.waits[self.turn] = self.write(self.first, self.buffers[self.turn][: self.filled])
        self.first += self.filled
        self.filled = 0
        self.turn = (self.turn + 1) % len(self.buffers)

    def close(self):
        self.flush()
        for wait in self.waits:
            wait()


def codec_json(job):
    return {
        "none": [],
        "zstd": [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}],
        "blosc": [
            {
                "name": "blosc",
                "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "shuffle", "typesize": 2, "blocksize": 0},
            }
        ],
    }[job["codec"]]


def tensorstore():
    import tensorstore as ts

    def make(job):
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        sharding = {
            "chunk_shape": job["chunk"],
            "codecs": [little, *codec_json(job)],
            "index_codecs": [little, {"name": "crc32c"}],
        }
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": job["path"]},
            "context": {"data_copy_concurrency": {"limit": THREADS}, "file_io_sync": False},
            "metadata": {
                "shape": [job["frames"], *job["frame"]],
                "data_type": "uint16",
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": job["shard"]}},
                "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
                "fill_value": 0,
            },
            "create": True,
        }
        array = ts.open(spec).result()

        def write(first, rows):
            return array[first : first + len(rows)].write(rows, can_reference_source_data_indefinitely=True).result

        rows = Rows(job, write, buffers=2)
        return rows.append, rows.close

    return make


def zarr_python(pipeline=None):
    import zarr

    zarr.config.set({"threading.max_workers": THREADS})
    if pipeline:
        zarr.config.set({"codec_pipeline.path": pipeline, "codec_pipeline.strict": True})

    def make(job):
        from zarr.codecs import BloscCodec, ZstdCodec

        compressors = {"none": None, "zstd": ZstdCodec(level=1), "blosc": BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")}
        array = zarr.create_array(
            job["path"],
            shape=(job["frames"], *job["frame"]),
            chunks=tuple(job["chunk"]),
            shards=tuple(job["shard"]),
            dtype="uint16",
            compressors=compressors[job["codec"]],
            fill_value=0,
        )

        def write(first, rows):
            array[first : first + len(rows)] = rows
            return lambda: None

        rows = Rows(job, write, buffers=1)
        return rows.append, rows.close

    return make


def zarrs():
    import zarrs  # noqa: F401, registers the pipeline

    return zarr_python("zarrs.ZarrsCodecPipeline")


WRITERS = {
    "acquire-zarr": acquire_zarr,
    "TensorStore": tensorstore,
    "zarr-python": zarr_python,
    "zarrs": zarrs,
}

if __name__ == "__main__":
    main()
