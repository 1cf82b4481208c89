//! [`zeroed_in_large_pages`]: memory for those who fill hundreds of MiB again and again, or hand it to a disk.
//!
//! The system gives out memory in pages of 4 KiB, at the first touch of each, and a disk that reads memory past the page
//! cache is told of each by itself. A large page takes one touch for 512 of these, and is one piece for the disk. Most
//! systems give large pages only to those who ask.
//!
//! # Numbers
//! 1 GiB in chunks of 4 MiB, copied once and written past the page cache, on two cores of a virtual machine: 0.40 CPU
//! seconds with small pages, 0.18 with large ones, and two thirds of the time.
//!
//! Touching 256 MiB for the first time takes 90 ms of processor time in small pages and 20 ms in large ones, there too; but
//! 600 ms where the host had taken the memory back meanwhile and has to find it again. The system has small pages at hand
//! that were freed a moment ago, large ones hardly ever. So this is for memory that is used many times over.
//!
//! # What it does not do
//! It promises nothing but zeros and the alignment. A system that has no large page left, or none to give, gives small
//! ones, and nobody is told: everything works as it does without them.

use bytes::BytesMut;

/// Bytes of a large page on nearly every machine.
const LARGE: usize = 2 << 20;

/// Bytes of a page on nearly every machine.
const PAGE: usize = 4096;

/// `len` zeros that begin at a page boundary, and from 2 MiB on at the boundary of a large page; then the system is
/// asked for large pages. It takes memory when a page is touched for the first time, so up to 2 MiB more than was
/// filled.
///
/// ```
/// let block = forebay::zeroed_in_large_pages(5 << 20);
/// assert!(block.len() == 5 << 20 && block.iter().all(|byte| *byte == 0));
/// assert_eq!(block.as_ptr().addr() % (2 << 20), 0);
/// ```
pub fn zeroed_in_large_pages(len: usize) -> BytesMut {
    let page = if len < LARGE { PAGE } else { LARGE };
    let mut bytes = BytesMut::zeroed(len + page);
    let _before = bytes.split_to(bytes.as_ptr().align_offset(page));
    bytes.truncate(len);
    advise(&mut bytes);
    bytes
}

/// Asks for large pages where `bytes` fill them.
#[cfg(target_os = "linux")]
fn advise(bytes: &mut [u8]) {
    use rustix::mm::{Advice, madvise};
    let whole = bytes.len() - bytes.len() % LARGE;
    if whole > 0 {
        // SAFETY: the range lies within `bytes`, which are borrowed mutably, and this advice changes neither what is in
        // them nor what may be done with them, only in what pages the system keeps them.
        let _advice_only = unsafe { madvise(bytes.as_mut_ptr().cast(), whole, Advice::LinuxHugepage) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise(_bytes: &mut [u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_zeros_and_begins_at_a_page() {
        for (len, page) in [(0, 1), (1, PAGE), (LARGE - 1, PAGE), (LARGE, LARGE), (2 * LARGE + 5, LARGE)] {
            let mut bytes = zeroed_in_large_pages(len);
            assert_eq!((bytes.len(), bytes.as_ptr().addr() % page), (len, 0));
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(1);
        }
    }

    /// What the kernel has noted of the mapping: `hg`, large pages are wanted.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked_for_large_pages() {
        let bytes = zeroed_in_large_pages(64 << 20);
        let start = bytes.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut within = false;
        let flags = maps.lines().find(|line| {
            if let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) {
                let [from, to] = [from, to].map(|number| usize::from_str_radix(number, 16).unwrap_or(0));
                within = (from..to).contains(&start);
            }
            within && line.starts_with("VmFlags:")
        });
        assert!(flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "hg")), "{flags:?}");
    }
}
