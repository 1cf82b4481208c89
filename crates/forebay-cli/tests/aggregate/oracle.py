"""Makes random tables and asks DuckDB what their groups are.

One JSON object a line comes in and one goes out; `{"error": ...}` if anything is wrong.

    make    seed, dir, format, and optionally rows, files, diff, spread: writes a table as files into the directory, and thinks
            up a query; if it is to be spread, of nearly as many groups and values as there are rows. Answers `args`, what is asked and of which files, as `forebay aggregate` takes it, and `rows`.
    check   paths: compares the groups in these Parquet files with DuckDB's answer. Answers `groups`.
    changes paths, every: compares the sum of all changes after each commit with DuckDB's answer over the rows so far.
            Answers `commits`, how many had changes.
    pairs   dir, keys: writes `in.parquet` with two rows of each of so many keys, far apart. The query is theirs: count and
            sum by key. Answers nothing.

DuckDB never reads the files that forebay reads: it gets the table from memory. Where it means something else than
forebay does:

    sum     of integers is a HUGEINT, which Python reads as what it is; of floats it adds up in the order of its threads,
            so `fsum` and `favg`, which keep what is lost, are asked instead
    CSV     reads an empty field as null, so there are no empty strings in CSV
    NaN     equals NaN, is the largest float, and makes sums NaN: as in forebay. Infinities are left out: `fsum` makes
            NaN of them.
    -0.0    is 0.0 as a key and as a value, but which of the two is shown differs: they are compared as equal
"""

import collections
import datetime
import decimal
import json
import math
import os
import random
import sys
import traceback

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.datetime(2024, 2, 28, 23, 59, 59)
WORDS = ["a", "A", "ä", "zebra", "quote\"", "o'clock", "comma,", "semi;colon", "x" * 40, " space ", "line\nend", "日本"]


class Column:
    """A column: its values are drawn from a pool."""

    def __init__(self, draw, name, kind, type, pool, nulls):
        self.name, self.kind, self.type, self.pool, self.nulls = name, kind, type, pool, nulls
        self.skew = draw.choice(["none", "none", "half", "power"])

    def value(self, draw):
        if self.nulls and draw.random() < self.nulls:
            return None
        if self.skew == "half" and draw.random() < 0.9:
            return self.pool[0]
        if self.skew == "power":
            return self.pool[int(len(self.pool) * draw.random() ** 6)]
        return self.pool[int(len(self.pool) * draw.random())]


def integers(bits, signed=True):
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def pool(draw, size):
        near = [draw.randint(max(least, -size), min(most, size)) for _ in range(size)]
        # Sums of 64-bit integers must fit: only wide sums get the extremes.
        return near + [least, most] * (bits < 64)

    return pool


def floats(draw, size):
    # A quarter is exact in 32 bits too.
    return [draw.randint(-4 * size, 4 * size) / 4 for _ in range(size)] + [0.0, -0.0]


def fractions(draw, size):
    return [draw.gauss(0, 100) for _ in range(size)] + [0.0, -0.0]


def strings(draw, size):
    return [f"{draw.choice(WORDS)}{draw.randrange(size)}" for _ in range(size)] + WORDS


def decimals(digits, scale):
    def pool(draw, size):
        most = 10 ** (digits - 3) - 1
        return [decimal.Decimal(draw.randint(-most, most)).scaleb(-scale) for _ in range(size)]

    return pool


def dates(draw, size):
    return [(EPOCH + datetime.timedelta(days=draw.randint(-size, size))).date() for _ in range(size)]


def timestamps(draw, size):
    return [EPOCH + datetime.timedelta(microseconds=draw.randint(-(10**12), 10**12)) for _ in range(size)]


def instants(draw, size):
    return [time.replace(tzinfo=datetime.timezone.utc) for time in timestamps(draw, size)]


# Text has only these.
PLAIN = {
    "int": (pa.int64(), integers(64)),
    "float": (pa.float64(), fractions),
    "string": (pa.string(), strings),
    "date": (pa.date32(), dates),
    "timestamp": (pa.timestamp("us"), timestamps),
    "bool": (pa.bool_(), lambda draw, size: [False, True]),
}
PARQUET = PLAIN | {
    "int8": (pa.int8(), integers(8)),
    "int16": (pa.int16(), integers(16)),
    "int32": (pa.int32(), integers(32)),
    "uint8": (pa.uint8(), integers(8, signed=False)),
    "uint32": (pa.uint32(), integers(32, signed=False)),
    "uint64": (pa.uint64(), integers(64, signed=False)),
    "float32": (pa.float32(), floats),
    "decimal": (pa.decimal128(9, 2), decimals(9, 2)),
    "decimal32": (pa.decimal32(9, 2), decimals(9, 2)),
    "decimal64": (pa.decimal64(15, 3), decimals(15, 3)),
    "long": (pa.decimal128(30, 6), decimals(30, 6)),
    "date64": (pa.date64(), dates),
    "zoned": (pa.timestamp("us", tz="Europe/Berlin"), instants),
    "large": (pa.large_string(), strings),
}
# Types of few values.
FEW = ("bool", "int8", "uint8", "int16")
NUMBERS = ("int", "uint", "float", "decimal", "long")


def is_number(column):
    return column.kind.startswith(NUMBERS)


def is_float(column):
    return column.kind.startswith("float")


class State:
    """The table that was made last, and what is asked of it."""


state = State()


def make(job):
    draw = random.Random(job["seed"])
    kind = job["format"]
    rows = job.get("rows")
    if rows is None:
        rows = draw.choice([0, 1, 10, 500, 3000, 3000, 20000, 20000, 60000])
    if kind != "parquet":
        rows = max(1, rows if job.get("spread") else min(rows, 20000))  # text without a value has no types
    diff = job.get("diff", False)
    spread = job.get("spread", False)
    columns = make_columns(draw, kind, rows, spread)
    sizes = split(draw, rows, job.get("files") or draw.randint(1, 4))
    parts = [make_rows(draw, columns, size, diff, kind) for size in sizes]
    schema = pa.schema([(column.name, column.type) for column in columns] + [("d", pa.int64())] * diff)
    state.tables = [
        pa.table([pa.array(cells, field.type) for cells, field in zip(transposed(part, schema), schema)], schema=schema)
        for part in parts
    ]
    names = []
    args = []
    separator = draw.choice([",", ",", ";"])
    for number, (table, part) in enumerate(zip(state.tables, parts)):
        name = f"in{number}.{kind}"
        path = os.path.join(job["dir"], name)
        if kind == "parquet":
            write_parquet(draw, table, path)
        elif kind == "csv":
            write_csv(schema.names, part, path, separator)
        else:
            write_ndjson(draw, schema.names, part, path)
        names.append(name)
    if kind == "csv" and separator != ",":
        args += ["--delimiter", separator]
    args += make_query(draw, columns, diff, spread)
    return {"args": args + names, "rows": rows}


def make_columns(draw, kind, rows, spread):
    kinds = PARQUET if kind == "parquet" else PLAIN
    if spread:
        kinds = {name: column for name, column in kinds.items() if name not in FEW}
    columns = []
    for number in range(draw.randint(3 if spread else 2, 6)):
        name = draw.choice(list(kinds)) if number else draw.choice(["int", "string", "timestamp", "float"])
        type, pool = kinds[name]
        size = max(1, rows if spread else draw.choice([1, 3, 20, 300, rows // 10, rows]))
        pool = pool(draw, size)
        if name.startswith("float") and kind != "ndjson" and draw.random() < 0.3:
            pool.append(math.nan)
        draw.shuffle(pool)
        nulls = draw.choice([0, 0, 0.02, 0.3]) if kind != "parquet" else draw.choice([0, 0, 0.02, 0.5, 1.0])
        columns.append(Column(draw, f"{name}_{number}", name, type, pool, nulls))
        if spread:
            columns[-1].skew = "none"
            columns[-1].nulls = min(nulls, 0.02)
    return columns


def make_rows(draw, columns, rows, diff, kind):
    """The rows of one file: what goes again came before in the same file, and so before in any order of files."""
    made = []
    there = []
    for number in range(rows):
        if diff and there and draw.random() < 0.4:
            at = draw.randrange(len(there))
            there[at], there[-1] = there[-1], there[at]
            made.append(there.pop() + (-1,))
            continue
        row = tuple(column.value(draw) for column in columns)
        if kind != "parquet" and number == 0:  # no column of text is without a value
            row = tuple(column.pool[0] if cell is None else cell for column, cell in zip(columns, row))
        there.append(row)
        made.append(row + (1,) * diff)
    return made


def split(draw, rows, files):
    """Rows of each file; some may have none."""
    ends = sorted(draw.randint(0, rows) for _ in range(files - 1))
    return [end - begin for begin, end in zip([0] + ends, ends + [rows])]


def transposed(rows, schema):
    return list(zip(*rows)) if rows else [[] for _ in schema]


def write_parquet(draw, table, path):
    pq.write_table(
        table,
        path,
        row_group_size=draw.choice([100, 5000, 1 << 20]) if len(table) else None,
        compression=draw.choice(["none", "snappy", "zstd"]),
        use_dictionary=draw.random() < 0.5,
        data_page_version=draw.choice(["1.0", "2.0"]),
    )


def text(cell):
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime.datetime):
        return cell.isoformat(timespec="microseconds")
    if isinstance(cell, float) and math.isnan(cell):
        return "NaN"
    return str(cell)


def write_csv(names, rows, path, separator):
    special = (separator, '"', "\n")

    def field(cell):
        if cell is None:
            return ""
        shown = text(cell)
        if any(mark in shown for mark in special):
            return '"' + shown.replace('"', '""') + '"'
        return shown

    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(separator.join(names) + "\n")
        # A row that is one empty field would be an empty line; there are two columns at least.
        file.writelines(separator.join(map(field, row)) + "\n" for row in rows)


def write_ndjson(draw, names, rows, path):
    def cell(value):
        return text(value) if isinstance(value, (datetime.date, datetime.datetime)) else value

    left_out = draw.random() < 0.5
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            object = {name: cell(value) for name, value in zip(names, row) if value is not None or not left_out}
            file.write(json.dumps(object, ensure_ascii=draw.random() < 0.5) + "\n")


def make_query(draw, columns, diff, spread):
    keys = draw.sample(columns, draw.randint(1, min(3, len(columns))))
    state.keys = [column.name for column in keys]
    wanted = {}
    wide = draw.random() < 0.3
    for _ in range(draw.randint(0, 8)):
        column = draw.choice(columns)
        functions = ["count", "min", "max", "distinct"]
        if is_number(column):
            functions += ["sum", "avg"] * 2
        function = draw.choice(functions)
        wanted[f"{function}:{column.name}"] = expression(function, column)
    for column in columns if spread else []:
        wanted[f"distinct:{column.name}"] = expression("distinct", column)
        wanted[f"max:{column.name}"] = expression("max", column)
    if draw.random() < 0.7:
        wanted["count"] = "count(*)"
    state.expressions = list(wanted.values())
    args = ["--by", ",".join(state.keys)]
    for name in wanted:
        args += ["--agg", name]
    if wide:
        args.append("--wide-sums")
    state.condition = condition(draw, columns) if draw.random() < 0.4 and not spread else None
    if state.condition:
        args += ["--where", state.condition]
    state.diff = diff
    if diff:
        args += ["--diff", "d"]
    return args


def expression(function, column):
    name = column.name
    if function == "distinct":
        return f"count(distinct {name})"
    if function in ("sum", "avg") and is_float(column):
        return f"f{function}({name})"
    return f"{function}({name})"


def condition(draw, columns):
    def test():
        column = draw.choice(columns)
        if draw.random() < 0.2:
            return f"{column.name} IS {draw.choice(['', 'NOT '])}NULL"
        operator = draw.choice(["=", "<>", "<", "<=", ">", ">="])
        return f"{column.name} {operator} {literal(draw.choice(column.pool))}"

    shape = draw.choice(["{}", "{}", "NOT ({})", "{} AND {}", "{} OR {}", "NOT {} OR ({} AND {})"])
    return shape.format(*(test() for _ in range(shape.count("{}"))))


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # What is written is to be the same number as a decimal, which is how DuckDB reads it.
        return "1.5" if math.isnan(value) else f"{math.floor(4 * value) / 4:.2f}"
    if isinstance(value, datetime.datetime):
        return f"'{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, (str, datetime.date)):
        return "'" + str(value).replace("'", "''") + "'"
    return f"{value:f}" if isinstance(value, decimal.Decimal) else str(value)


def answer(tables):
    """What DuckDB says."""
    everything = pa.concat_tables(tables)
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.register("everything", everything)
        source = "everything"
        if state.condition:
            source = f"(select * from {source} where {state.condition})"
        if state.diff:
            names = ", ".join(name for name in everything.column_names if name != "d")
            net = f"(select {names}, sum(d)::bigint as d from {source} group by {names} having sum(d) > 0)"
            source = f"(select {names} from {net}, unnest(range(d)))"
        keys = ", ".join(state.keys)
        wanted = ", ".join(state.keys + state.expressions)
        return connection.execute(f"select {wanted} from {source} group by {keys}").fetchall()


def read(paths):
    """The rows of Parquet files, and the names of the columns."""
    with duckdb.connect() as connection:
        found = connection.execute("select * from read_parquet(?)", [paths])
        return found.fetchall(), [column[0] for column in found.description]


def check(job):
    got, names = read(job["paths"])
    assert names[: len(state.keys)] == state.keys, names
    compare(got, answer(state.tables))
    return {"groups": len(got)}


def changes(job):
    got, names = read(job["paths"])
    assert names[0] == "commit" and names[-1] == "change", names
    commits = collections.defaultdict(list)
    for row in got:
        commits[row[0]].append(row)
    every = job["every"]
    last = max((len(table) + every - 1) // every for table in state.tables)
    assert all(0 <= commit < last for commit in commits), f"{sorted(commits)}, but there are {last} commits"
    now = collections.Counter()
    for commit in range(last):
        for row in commits[commit]:
            now[tuple(map(as_key, row[1:-1]))] += row[-1]
        assert all(weight in (0, 1) for weight in now.values()), f"commit {commit}: {now.most_common(3)}"
        now = +now
        # Each change is one: nothing goes and comes again.
        counts = collections.Counter(tuple(map(as_key, row[1:-1])) for row in commits[commit])
        assert all(count == 1 for count in counts.values()), f"commit {commit}: {counts.most_common(3)}"
        so_far = [table.slice(0, (commit + 1) * every) for table in state.tables]
        try:
            compare([tuple(map(from_key, row)) for row in now], answer(so_far))
        except AssertionError as error:
            raise AssertionError(f"after commit {commit} of {last}: {error}") from None
    return {"commits": len(commits)}


NAN = "not a number"


def as_key(cell):
    """Such that equal cells are equal in Python."""
    if isinstance(cell, float):
        return NAN if math.isnan(cell) else cell + 0.0
    return cell


def from_key(cell):
    return math.nan if cell is NAN else cell


def compare(got, want):
    keys = len(state.keys)

    def by_key(rows, who):
        groups = {}
        for row in rows:
            key = tuple(map(as_key, row[:keys]))
            assert key not in groups, f"{who} has the group {key} twice"
            groups[key] = row[keys:]
        return groups

    got, want = by_key(got, "forebay"), by_key(want, "DuckDB")
    missing, surplus = want.keys() - got.keys(), got.keys() - want.keys()
    assert not missing and not surplus, (
        f"{len(missing)} groups are missing, {len(surplus)} too many, of {len(want)}: "
        f"{list(missing)[:3]}, {list(surplus)[:3]}"
    )
    for key, cells in want.items():
        for expression, mine, theirs in zip(state.expressions, got[key], cells, strict=True):
            assert same(mine, theirs), f"{expression} of {key}: {mine!r}, but DuckDB has {theirs!r}"


def same(mine, theirs):
    if isinstance(mine, float) and isinstance(theirs, float):
        if math.isnan(mine) or math.isnan(theirs):
            return math.isnan(mine) and math.isnan(theirs)
        # Below a billionth it is what is left of numbers around a hundred that add up to nothing.
        return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return mine == theirs


def pairs(job):
    rows = 2 * job["keys"]
    with duckdb.connect() as connection:
        made = connection.sql(f"select (i * 7919 % {job['keys']})::bigint as k, i as n from range({rows}) t(i)")
        state.tables = [made.to_arrow_table()]
    pq.write_table(state.tables[0], os.path.join(job["dir"], "in.parquet"))
    state.keys, state.expressions, state.condition, state.diff = ["k"], ["count(*)", "sum(n)"], None, False
    return {}


def main():
    does = {"make": make, "check": check, "changes": changes, "pairs": pairs}
    for line in sys.stdin:
        job = json.loads(line)
        try:
            reply = does[job["do"]](job)
        except Exception as error:  # whatever is wrong is the answer
            reply = {"error": f"{error}\n{traceback.format_exc(limit=-3)}"}
        print(json.dumps(reply), flush=True)


main()
