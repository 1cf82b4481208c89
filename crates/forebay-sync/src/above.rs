//! What the command line says above the paths of a transfer.

use crate::asked::collapsed;

/// Where a source is, for names as they are shown. Everything beneath the source shares it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Above {
    /// The path above what is transferred, without a slash before it, with one behind it.
    pub(crate) path: Vec<u8>,
    /// With `-R`, the path began at the root.
    absolute: bool,
}

/// `path` as it is shown before a name: without empty and `.` components, with a slash at its end.
fn shown(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.flat_map(|part| [part, b"/"].concat()).collect()
}

impl Above {
    /// Nothing is known of it.
    pub(crate) const NOTHING: &'static Above = &Above { path: Vec::new(), absolute: false };

    /// What is above the entries of `argument`, which keeps its path if that is `relative`.
    pub(crate) fn of(argument: &[u8], relative: bool) -> Self {
        if relative {
            return Self::relative(argument);
        }
        let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (above, name) = argument.split_at(split);
        let above = if matches!(name, b"" | b"." | b"..") { argument } else { above };
        Above { path: shown(above), absolute: false }
    }

    /// An argument that keeps its path, from `/./` on if that is in it.
    fn relative(argument: &[u8]) -> Self {
        let at = argument.windows(3).position(|three| three == b"/./");
        let (above, path) = at.map_or((&b""[..], argument), |at| (&argument[..=at], &argument[at + 3..]));
        let mut above = collapsed(above);
        if !above.is_empty() {
            above.push(b'/');
        }
        let absolute = at.is_none() && argument.starts_with(b"/") && !collapsed(path).is_empty();
        Above { path: above, absolute }
    }

    /// What the sending side shows before a path.
    pub(crate) fn slash(&self) -> &'static [u8] {
        if self.absolute { b"/" } else { b"" }
    }
}

/// An entry as lines name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'n> {
    pub(crate) above: &'n Above,
    /// Its directory, relative to the root of the transfer.
    pub(crate) rel: &'n [u8],
    pub(crate) name: &'n [u8],
}

impl Named<'_> {
    /// Its path, relative to the root of the transfer.
    pub(crate) fn path(&self) -> Vec<u8> {
        [self.rel, self.name].concat()
    }
}
