//! `Total`: what `sum` and `avg` keep of each key.

use forebay::DecodeError;

use crate::field::{Field, mix};
use crate::rows::{Changes, Weight};

/// Keys, and of each the total of its values.
pub type Totals<K> = Changes<K, (), Total>;

/// The sum of values, and how many they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
// No larger than what is in it.
#[repr(C, packed(8))]
pub struct Total {
    sum: i128,
    count: i64,
}

impl Total {
    /// A total of `count` values.
    pub fn new(sum: i128, count: i64) -> Self {
        Total { sum, count }
    }

    /// The sum of the values.
    pub fn sum(self) -> i128 {
        self.sum
    }

    /// How many values there are.
    pub fn count(self) -> i64 {
        self.count
    }
}

impl Weight for Total {
    fn plus(self, more: Self) -> Self {
        Total { sum: self.sum.wrapping_add(more.sum), count: self.count.wrapping_add(more.count) }
    }
}

impl Field for Total {
    fn hash64(&self) -> u64 {
        mix(self.sum().hash64() ^ self.count().hash64())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.sum().encode(out);
        self.count().encode(out);
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(Total { sum: i128::decode(bytes)?, count: i64::decode(bytes)? })
    }
}
