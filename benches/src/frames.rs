//! Frames as a camera gives them: 2048 x 2048 elements of 16 bits, spots on a smooth background, with the noise of
//! counted photons. Always the same ones, made once and kept in a file.

use std::f64::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Elements along a side of a frame.
pub const SIDE: usize = 2048;

/// Bytes of a frame.
pub const FRAME: usize = SIDE * SIDE * 2;

/// Different frames; those who need more start again with the first. As many as the deepest chunk takes, so that no
/// chunk holds the same picture twice.
pub const FRAMES: usize = 32;

/// The file with all frames, in directory `dir`; makes it if it is not there yet.
///
/// # Errors
/// When it cannot be written.
pub fn file(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(format!("frames-{FRAMES}x{SIDE}x{SIDE}.raw"));
    let complete = fs::metadata(&path).is_ok_and(|file| file.len() == (FRAMES * FRAME) as u64);
    if !complete {
        let frames: Vec<u8> = (0..FRAMES).flat_map(frame).flat_map(u16::to_le_bytes).collect();
        fs::write(&path, frames).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(path)
}

/// Frame `number`: means of 100 to 500, around which the elements are Poisson distributed. (With such means that is a
/// normal distribution of the same variance, rounded.)
fn frame(number: usize) -> Vec<u16> {
    let mut random = Random(number as u64);
    let mut means: Vec<f64> = (0..SIDE * SIDE)
        .map(|at| {
            let (y, x) = ((at / SIDE) as f64, (at % SIDE) as f64);
            175.0 + 75.0 * (x / 900.0 + number as f64 / 9.0).sin() * (y / 700.0).cos()
        })
        .collect();
    for _ in 0..300 {
        let (y, x) = ((random.unit() * SIDE as f64) as usize, (random.unit() * SIDE as f64) as usize);
        let height = 50.0 + 200.0 * random.unit();
        for (at_y, at_x) in (0..24).flat_map(|dy| (0..24).map(move |dx| (y + dy, x + dx))) {
            if at_y < SIDE && at_x < SIDE {
                let distance = (at_y as f64 - y as f64 - 11.5).powi(2) + (at_x as f64 - x as f64 - 11.5).powi(2);
                means[at_y * SIDE + at_x] += height * (-distance / 18.0).exp();
            }
        }
    }
    let noisy = means.chunks_exact(2).flat_map(|means| {
        // Box and Muller: two at a time.
        let (radius, angle) = ((-2.0 * (1.0 - random.unit()).ln()).sqrt(), TAU * random.unit());
        [means[0] + means[0].sqrt() * radius * angle.cos(), means[1] + means[1].sqrt() * radius * angle.sin()]
    });
    noisy.map(|count| count.round().max(0.0) as u16).collect()
}

/// Splitmix64.
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}
