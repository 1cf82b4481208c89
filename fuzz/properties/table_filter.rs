//! What holds for any text that is taken for a filter of a table's rows.

#[path = "busy.rs"]
mod busy;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use forebay_exchange::table::{Filter, TableError};

use self::busy::busy;

/// How long a processor may be busy with one filter, with the fuzzer's instrumentation.
const LIMIT: Duration = Duration::from_secs(2);

/// `data` is a filter: refused with a place in it, or applied, and then it and its negation have no row in common.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(-1), Some(0), None, Some(i64::MAX)]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("B"), Some("")]));
    let batch = RecordBatch::try_from_iter([("n", numbers), ("s", names)]).unwrap();

    let begun = busy();
    match Filter::parse(text, &batch.schema()) {
        Ok(filter) => {
            let kept = filter.apply(batch.clone()).unwrap().num_rows();
            let negated = Filter::parse(&format!("NOT ({text})"), &batch.schema());
            match negated {
                Ok(negated) => assert!(kept + negated.apply(batch).unwrap().num_rows() <= 4, "{text}"),
                // One level deeper than it may be.
                Err(error) => assert!(error.to_string().contains("nested deeper"), "{error}"),
            }
        }
        Err(TableError::Filter { at, .. }) => assert!((1..=text.chars().count() + 1).contains(&at), "{at} in {text}"),
        Err(other) => panic!("{other}"),
    }
    let took = busy() - begun;
    assert!(took < LIMIT, "{took:?}");
}
