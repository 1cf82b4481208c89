//! How fast frames come, and whether shards are too large for that.

use std::time::{Duration, Instant};

use forebay_zarr::ArraySpec;

use super::args::Shape;
use super::feed::FIRST;

/// A shard that takes longer to fill is worth a warning.
const LONG: Duration = Duration::from_secs(60);

/// How long a shard should take.
const GOOD: f64 = 10.0;

/// Watches the first seconds of a recording.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the first bytes came; none have.
    begun: Option<Instant>,
    bytes: u64,
    decided: bool,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Pace { begun: None, bytes: 0, decided: false }
    }

    /// `bytes` more have come.
    pub(crate) fn came(&mut self, bytes: usize) {
        // The first bytes were on their way before: they say nothing about the rate.
        match self.begun {
            None => self.begun = Some(Instant::now()),
            Some(_) => self.bytes += bytes as u64,
        }
    }

    /// When enough will have been seen, if that is to come.
    pub(crate) fn decides_at(&self) -> Option<Instant> {
        self.begun.filter(|_| !self.decided).map(|begun| begun + FIRST)
    }

    /// Once, after the first seconds: the warning, if there is one.
    pub(crate) fn verdict(&mut self, spec: &ArraySpec) -> Option<String> {
        let since = self.begun.filter(|_| !self.decided)?.elapsed();
        if since < FIRST {
            return None;
        }
        self.decided = true;
        let frames = self.bytes as f64 / spec.frame_bytes() as f64 / since.as_secs_f64();
        advice(spec, frames)
    }
}

/// What to say of shards that take very long to fill at this many frames a second.
fn advice(spec: &ArraySpec, rate: f64) -> Option<String> {
    let (shard, chunk) = (*spec.shard.first()?, *spec.chunk.first()?);
    let seconds = shard as f64 / rate;
    if seconds < LONG.as_secs_f64() {
        return None;
    }
    let time = if rate == 0.0 {
        "no frame has come for seconds".to_owned()
    } else {
        format!("at {rate:.3} frames a second it takes {}", minutes(seconds))
    };
    let chunks = ((rate * GOOD / chunk as f64) as u64).max(1);
    let better = chunks * chunk;
    let help = if better < shard {
        let shape = Shape(std::iter::once(better).chain(spec.shard[1..].iter().copied()).collect());
        if rate > 0.0 && better as f64 / rate >= LONG.as_secs_f64() {
            format!("--shard {shape} would take {}; for less, make --chunk less deep", minutes(better as f64 / rate))
        } else {
            format!("--shard {shape} would close sooner")
        }
    } else {
        "for less, make --chunk less deep".to_owned()
    };
    Some(format!(
        "a shard holds {shard} frames, and nothing of it is visible or safe before it is full: {time}; {help}"
    ))
}

fn minutes(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round().max(1.0);
    match minutes {
        1.0 => "a minute".to_owned(),
        _ if minutes < 120.0 => format!("{minutes} minutes"),
        _ => format!("{:.1} hours", minutes / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forebay_zarr::DataType;

    #[test]
    fn a_shard_of_minutes_is_worth_a_warning_and_a_smaller_one_is_named() {
        let spec = |chunk, shard| ArraySpec::new(DataType::UInt16, &[64, 64], &[chunk, 64, 64], &[shard, 64, 64]);
        assert_eq!(advice(&spec(32, 6400), 1000.0), None);
        let text = advice(&spec(32, 6400), 20.0).unwrap();
        assert!(
            text.contains("it takes 5 minutes") && text.ends_with("--shard 192,64,64 would close sooner"),
            "{text}"
        );
        let text = advice(&spec(32, 320), 0.1).unwrap();
        assert!(text.ends_with("--shard 32,64,64 would take 5 minutes; for less, make --chunk less deep"), "{text}");
        let text = advice(&spec(32, 32), 0.1).unwrap();
        assert!(text.ends_with("; for less, make --chunk less deep"), "{text}");
        let text = advice(&spec(1, 100), 0.0).unwrap();
        assert!(text.contains("no frame has come"), "{text}");
    }
}
