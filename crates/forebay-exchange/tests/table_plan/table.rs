//! Random tables, and the way of their rows.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Schema, SchemaRef};
use forebay_exchange::Rows;
use forebay_exchange::table::{Aggregate, KeyedRows, Plan, Query};

/// xorshift64*: enough to choose with, the same every time.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }

    /// One in six is null.
    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(6) > 0).then(|| value(self))
    }

    fn column<T>(&mut self, rows: usize, value: impl Fn(&mut Self) -> T) -> Vec<Option<T>> {
        (0..rows).map(|_| self.maybe(&value)).collect()
    }
}

/// Every type that can be a key and a value, few different ones of each.
pub(crate) const COLUMNS: [&str; 13] =
    ["int", "short", "unsigned", "float", "float32", "text", "view", "date", "time", "bool", "money", "long", "tiny"];

pub(crate) fn random_table(dice: &mut Dice, rows: usize) -> RecordBatch {
    let strange = [0.0, -0.0, f64::NAN, -f64::NAN, f64::from_bits(f64::NAN.to_bits() | 5), 1.5, -2.25, 1e300, 1e-300];
    let strange32 = [0.0, -0.0, f32::NAN, f32::INFINITY, 0.1, -7.5];
    let words = ["", "a", "Ulm", "Ulm\0", "Köln", "a longer word that takes more than thirty-two bytes in a key"];
    let big = 10_i128.pow(29) - 1;
    let ints = dice.column(rows, |dice| dice.of(&[0, 1, -1, 7, i64::from(i32::MAX), 1 << 50, -(1 << 50)]));
    let shorts = dice.column(rows, |dice| dice.of(&[0, 5, i16::MIN, i16::MAX]));
    let unsigned = dice.column(rows, |dice| dice.of(&[0, 3, u64::from(u32::MAX), 1 << 54]));
    let floats = dice.column(rows, |dice| dice.of(&strange));
    let floats32 = dice.column(rows, |dice| dice.of(&strange32));
    let texts = dice.column(rows, |dice| dice.of(&words));
    let views = dice.column(rows, |dice| dice.of(&words));
    let dates = dice.column(rows, |dice| dice.of(&[0, -400, 19_000]));
    let times = dice.column(rows, |dice| dice.of(&[0, 1_700_000_000_000_000, -5]));
    let bools = dice.column(rows, |dice| dice.of(&[true, false]));
    let money = dice.column(rows, |dice| dice.of(&[0_i128, 199, -5, 10_i128.pow(9)]));
    let long = dice.column(rows, |dice| dice.of(&[0, 1, -1, big, -big, 1_i128 << 64, -(1_i128 << 63)]));
    let tiny = dice.column(rows, |dice| dice.of(&[1_i8, -1, 100]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("int", Arc::new(Int64Array::from(ints))),
        ("short", Arc::new(Int16Array::from(shorts))),
        ("unsigned", Arc::new(UInt64Array::from(unsigned))),
        ("float", Arc::new(Float64Array::from(floats))),
        ("float32", Arc::new(Float32Array::from(floats32))),
        ("text", Arc::new(StringArray::from(texts))),
        ("view", Arc::new(StringViewArray::from(views))),
        ("date", Arc::new(Date32Array::from(dates))),
        ("time", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ("bool", Arc::new(BooleanArray::from(bools))),
        ("money", Arc::new(Decimal128Array::from(money).with_precision_and_scale(12, 2).unwrap())),
        ("long", Arc::new(Decimal128Array::from(long).with_precision_and_scale(30, 3).unwrap())),
        ("tiny", Arc::new(Int8Array::from(tiny))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// `batch` with a column `diff`.
pub(crate) fn with_diff(batch: &RecordBatch, diff: Vec<i64>) -> RecordBatch {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let columns = names.zip(batch.columns().iter().cloned());
    let diff: (String, ArrayRef) = ("diff".to_owned(), Arc::new(Int64Array::from(diff)));
    RecordBatch::try_from_iter_with_nullable(columns.chain([diff]).map(|(name, array)| (name, array, true))).unwrap()
}

pub(crate) fn query(by: &[&str], aggregates: &[&str]) -> Query {
    Query {
        by: by.iter().map(ToString::to_string).collect(),
        aggregates: aggregates.iter().map(|text| text.parse::<Aggregate>().unwrap()).collect(),
        ..Query::default()
    }
}

pub(crate) fn plan(query: &Query, schema: &SchemaRef) -> Plan {
    Plan::new(query, schema).unwrap()
}

/// `table` in batches of a random number of rows, with the plan's columns.
pub(crate) fn batches(dice: &mut Dice, plan: &Plan, table: &RecordBatch) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let mut at = 0;
    while at < table.num_rows() {
        let rows = (1 + dice.below(40) as usize).min(table.num_rows() - at);
        batches.push(table.slice(at, rows).project(plan.columns()).unwrap());
        at += rows;
    }
    batches
}

/// Sorted runs of `batches`, as several intakes make them; written and read back.
pub(crate) fn runs(dice: &mut Dice, plan: &Plan, batches: &[RecordBatch]) -> Vec<KeyedRows> {
    let mut intakes: Vec<_> = (0..3).map(|_| (plan.intake(), KeyedRows::default())).collect();
    let mut runs = Vec::new();
    for batch in batches {
        let (intake, out) = &mut intakes[dice.below(3) as usize];
        intake.push(batch, out).unwrap();
        if dice.below(4) == 0 {
            intake.flush(out);
        }
        if dice.below(4) == 0 {
            runs.push(std::mem::take(out));
        }
    }
    for (mut intake, mut out) in intakes {
        intake.flush(&mut out);
        runs.push(out);
    }
    runs.into_iter()
        .map(|mut run| {
            run.consolidate();
            let mut bytes = Vec::new();
            run.encode(&mut bytes);
            KeyedRows::decode(&bytes).unwrap()
        })
        .collect()
}

/// All rows of `runs` in order, merged, in blocks of a few.
pub(crate) fn blocks(dice: &mut Dice, runs: &[KeyedRows]) -> Vec<KeyedRows> {
    let mut rows: Vec<_> = runs.iter().flat_map(|run| (0..run.len()).map(|index| run.get(index))).collect();
    rows.sort_by(|a, b| KeyedRows::order(*a, *b));
    let mut merged = KeyedRows::default();
    rows.into_iter().for_each(|row| merged.push_merged(row));
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < merged.len() {
        let end = (at + 1 + dice.below(9) as usize).min(merged.len());
        let mut block = merged.like();
        block.append(&merged, at..end);
        blocks.push(block);
        at = end;
    }
    blocks
}

/// The result, all the way.
pub(crate) fn results(dice: &mut Dice, plan: &Plan, table: &RecordBatch) -> Vec<RecordBatch> {
    let batches = batches(dice, plan, table);
    let runs = runs(dice, plan, &batches);
    let mut finisher = plan.finisher();
    let mut out = Vec::new();
    for block in blocks(dice, &runs) {
        finisher.push(&block, &mut out).unwrap();
    }
    finisher.finish(&mut out).unwrap();
    out
}

pub(crate) fn schema_of(columns: Vec<(&str, ArrayRef)>) -> (SchemaRef, RecordBatch) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    (Arc::new(Schema::clone(&batch.schema())), batch)
}
