//! TIFF files byte by byte (TIFF 6.0, sections 2 and 15; BigTIFF), for what the library's encoder does not write.

/// One page. The chunks are its strips or tiles, as they are to be in the file.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) width: u64,
    pub(crate) height: u64,
    pub(crate) bits: u64,
    /// 1 unsigned, 2 signed, 3 floating point.
    pub(crate) format: u64,
    pub(crate) samples: u64,
    /// 0: 0 is white, 1: 0 is black, 2: RGB, 3: palette.
    pub(crate) photometric: u64,
    /// 1: samples of a pixel together, 2: each in a plane.
    pub(crate) planar: u64,
    pub(crate) compression: u64,
    pub(crate) rows_per_strip: u64,
    /// Width and length, if there are tiles.
    pub(crate) tile: Option<(u64, u64)>,
    pub(crate) description: Option<Vec<u8>>,
    pub(crate) chunks: Vec<Vec<u8>>,
}

impl Page {
    /// A grey page of one strip.
    pub(crate) fn grey(width: u64, height: u64, bits: u64, format: u64, pixels: &[u8]) -> Self {
        Page {
            width,
            height,
            bits,
            format,
            samples: 1,
            photometric: 1,
            planar: 1,
            compression: 1,
            rows_per_strip: height,
            tile: None,
            description: None,
            chunks: vec![pixels.to_vec()],
        }
    }

    /// Tag, type, values.
    fn entries(&self, offsets: Vec<u64>) -> Vec<(u16, u16, Vec<u64>)> {
        const SHORT: u16 = 3;
        let counts = self.chunks.iter().map(|chunk| chunk.len() as u64).collect();
        let mut entries = vec![
            (256, 4, vec![self.width]),
            (257, 4, vec![self.height]),
            (258, SHORT, vec![self.bits; self.samples as usize]),
            (259, SHORT, vec![self.compression]),
            (262, SHORT, vec![self.photometric]),
            (277, SHORT, vec![self.samples]),
            (284, SHORT, vec![self.planar]),
            (339, SHORT, vec![self.format; self.samples as usize]),
        ];
        if let Some(text) = &self.description {
            entries.push((270, 2, text.iter().map(|&byte| byte.into()).collect()));
        }
        match self.tile {
            Some((width, length)) => {
                entries.extend([(322, 4, vec![width]), (323, 4, vec![length]), (324, 16, offsets), (325, 4, counts)])
            }
            None => entries.extend([(273, 16, offsets), (278, 4, vec![self.rows_per_strip]), (279, 4, counts)]),
        }
        entries.sort();
        entries
    }
}

/// In which order the bytes of a number are, and how many an offset has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) big_endian: bool,
    pub(crate) big: bool,
}

struct Out {
    bytes: Vec<u8>,
    format: Format,
}

impl Out {
    fn number(&mut self, value: u64, size: usize) {
        if self.format.big_endian {
            self.bytes.extend(&value.to_be_bytes()[8 - size..]);
        } else {
            self.bytes.extend(&value.to_le_bytes()[..size]);
        }
    }

    fn offset(&mut self, value: u64) {
        self.number(value, if self.format.big { 8 } else { 4 });
    }
}

/// The file of these pages: all pixels, then each directory with its values behind it.
pub(crate) fn tiff(format: Format, pages: &[Page]) -> Vec<u8> {
    let mut out = Out { bytes: Vec::new(), format };
    let word = if format.big { 8 } else { 4 };
    out.bytes.extend(if format.big_endian { b"MM" } else { b"II" });
    out.number(if format.big { 43 } else { 42 }, 2);
    if format.big {
        out.number(8, 2);
        out.number(0, 2);
    }
    let pixels: usize = pages.iter().flat_map(|page| &page.chunks).map(Vec::len).sum();
    let mut directory = (out.bytes.len() + word + pixels).next_multiple_of(2);
    out.offset(directory as u64);
    let mut offsets = Vec::new();
    for page in pages {
        offsets.push(Vec::new());
        for chunk in &page.chunks {
            offsets.last_mut().unwrap().push(out.bytes.len() as u64);
            out.bytes.extend(chunk);
        }
    }
    for (at, (page, offsets)) in pages.iter().zip(offsets).enumerate() {
        out.bytes.resize(directory, 0);
        let entries = page.entries(offsets);
        let (count, entry) = if format.big { (8, 20) } else { (2, 12) };
        let mut values = directory + count + entries.len() * entry + word;
        let mut behind = Vec::new();
        out.number(entries.len() as u64, count);
        for (tag, kind, numbers) in entries {
            // Offsets of a classic file are LONG.
            let kind = if kind == 16 && !format.big { 4 } else { kind };
            let size = [0, 1, 1, 2, 4][usize::from(kind).min(4)] * if kind == 16 { 2 } else { 1 };
            out.number(tag.into(), 2);
            out.number(kind.into(), 2);
            out.offset(numbers.len() as u64);
            let mut field = Out { bytes: Vec::new(), format };
            numbers.iter().for_each(|&number| field.number(number, size));
            if field.bytes.len() > word {
                out.offset(values as u64);
                values += field.bytes.len();
                behind.extend(field.bytes);
            } else {
                field.bytes.resize(word, 0);
                out.bytes.extend(field.bytes);
            }
        }
        directory = values.next_multiple_of(2);
        out.offset(if at + 1 < pages.len() { directory as u64 } else { 0 });
        out.bytes.extend(behind);
    }
    out.bytes
}
