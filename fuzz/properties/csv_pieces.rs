//! What holds for any bytes that are read as CSV, wherever they are cut.

use std::fs;

use forebay::{Budget, CancelToken};
use forebay_exchange::table::{Format, InputOptions, Inputs, Piece, Reading, TableError};

/// The first byte of `data` is the length of a piece, the rest the text: it is refused, or the same rows and the same
/// malformed lines come out, whatever the length.
pub(crate) fn check(data: &[u8]) {
    let Some((piece, text)) = data.split_first() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("text");
    fs::write(&path, text).unwrap();

    let read = |piece: usize| -> Result<_, TableError> {
        let options = InputOptions {
            format: Some(Format::Csv),
            piece: Some(piece),
            longest_row: 4096,
            ..InputOptions::default()
        };
        let inputs = Inputs::open(std::slice::from_ref(&path), options)?;
        let columns: Vec<usize> = (0..inputs.schema().fields().len()).collect();
        let reading = Reading { workers: 1, budget: Budget::new(1 << 20), cancel: CancelToken::new() };
        let mut batches = Vec::new();
        let report = inputs.read(&columns, reading, |piece| {
            if let Piece::Rows { batch, .. } = piece {
                batches.push(batch);
            }
            Ok(())
        })?;
        let batch = batches.first().map(|first| arrow::compute::concat_batches(first.schema_ref(), &batches));
        Ok((batch.map(Result::unwrap), report.malformed_rows, report.malformed))
    };
    // A row that is longer than a row may be is found at a read: only shorter texts are the same wherever they are cut.
    if text.len() > 4096 {
        let _ = read(usize::from(*piece) + 1);
        return;
    }
    match (read(usize::from(*piece) + 1), read(1 << 16)) {
        (Ok(cut), Ok(whole)) => assert_eq!(format!("{cut:?}"), format!("{whole:?}")),
        (Err(cut), Err(whole)) => assert_eq!(cut.to_string(), whole.to_string()),
        (cut, whole) => panic!("cut: {cut:?}, whole: {whole:?}"),
    }
}
