"""Groups of a Parquet file, by forebay and by DuckDB: `python groups.py JOB`, where JOB is a JSON object with `do`.

    make     path, rows, groups: a table of a key with so many values, and a number
    forebay  program, input, output, memory, spill: `forebay aggregate`; from the start of the process to its end
    duckdb   input, output, memory, spill: from the connection to the end of the query. What the interpreter takes to start
             and to load DuckDB is not counted, its memory is: 40 MiB or so.
    compare  one, other: whether two outputs have the same groups

Both get two threads and the same limit, and read and write Parquet, with the compression that is usual for each (zstd 1
and Snappy). DuckDB may give up the order of the rows, which spares it memory.

Prints what it took as a JSON line: seconds, seconds of CPU, and the most bytes that were resident.
"""

import json
import os
import subprocess
import sys
import time

THREADS = 2


def make(job):
    import duckdb

    temporary = job["path"] + ".made"
    duckdb.execute(
        f"copy (select hash(i * 2 + 1) % {job['groups']} as k, i % 97 as v from range({job['rows']}) t(i))"
        f" to '{temporary}' (format parquet)"
    )
    os.rename(temporary, job["path"])
    return {}


def forebay(job):
    # This process is small, for a child's peak begins at that of the process that starts it.
    query = ["--by", "k", "--agg", "count", "--agg", "sum:v"]
    resources = ["--workers", str(THREADS), "--memory", f"{job['memory']}M", "--spill-dir", job["spill"]]
    command = [job["program"], "aggregate", *query, *resources, "--quiet", job["input"], "--output", job["output"]]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"forebay: {os.waitstatus_to_exitcode(status)}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}


def duckdb(job):
    import duckdb

    before = os.times()
    start = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute(f"set threads = {THREADS}")
        connection.execute(f"set memory_limit = '{job['memory']}MiB'")
        connection.execute(f"set temp_directory = '{job['spill']}'")
        connection.execute("set preserve_insertion_order = false")
        query = f"select k, count(*) as count, sum(v)::bigint as sum_v from '{job['input']}' group by k"
        connection.execute(f"copy ({query}) to '{job['output']}' (format parquet)")
    wall = time.perf_counter() - start
    after = os.times()
    cpu = after.user + after.system - before.user - before.system
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    return {"wall": wall, "cpu": cpu, "peak": peak}


def compare(job):
    import duckdb

    both = f"'{job['one']}' a full join '{job['other']}' b on a.k = b.k"
    differs = "a.count is distinct from b.count or a.sum_v is distinct from b.sum_v"
    rows, groups, differing = duckdb.execute(
        f"select count(*), count(distinct a.k), count(*) filter ({differs}) from {both}"
    ).fetchone()
    if differing or rows != groups:
        sys.exit(f"{differing} of {rows} groups differ; {groups} keys")
    return {}


job = json.loads(sys.argv[1])
print(json.dumps({"make": make, "forebay": forebay, "duckdb": duckdb, "compare": compare}[job["do"]](job)))
