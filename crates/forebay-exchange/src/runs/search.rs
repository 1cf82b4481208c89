//! `search`: finds a place in what is sorted, from a guess.

use std::ops::Range;

/// The first index of `range` that is not `before` what is wanted, its end if all are, looked for from `guess` on in
/// steps that double.
pub(crate) fn search(range: Range<usize>, guess: usize, before: impl Fn(usize) -> bool) -> usize {
    let Range { start: mut low, end: mut high } = range;
    if low == high {
        return low;
    }
    let guess = guess.clamp(low, high - 1);
    let mut step = 1;
    if before(guess) {
        low = guess + 1;
        while step <= high - low && before(low + step - 1) {
            low += step;
            step *= 2;
        }
        high = high.min(low + step - 1);
    } else {
        high = guess;
        while step <= high - low && !before(high - step) {
            high -= step;
            step *= 2;
        }
        low = low.max((high + 1).saturating_sub(step));
    }
    while low < high {
        let middle = low.midpoint(high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_finds_the_same_from_every_guess() {
        for end in 3..20 {
            for first in 3..=end {
                for guess in 0..25 {
                    assert_eq!(search(3..end, guess, |index| index < first), first, "{end} {first} {guess}");
                }
            }
        }
    }
}
