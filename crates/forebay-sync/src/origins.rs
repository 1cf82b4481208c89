//! Where in the file system the paths of a transfer come from, as the command line said it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::asked::collapsed;
use crate::options::Options;

/// The sources, for names as they are shown.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// By the first component of what is transferred: where that comes from.
    named: HashMap<Vec<u8>, Origin>,
    /// Where the contents of the first source whose contents are meant come from.
    contents: Option<Vec<u8>>,
}

/// `path` as it is shown before a name: without empty and `.` components, with a slash at its end.
fn shown(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.flat_map(|part| [part, b"/"].concat()).collect()
}

#[derive(Debug)]
struct Origin {
    /// The path above it, without a slash before it, with one behind it.
    above: Vec<u8>,
    /// With `-R`, the path began at the root.
    absolute: bool,
}

impl Origins {
    /// The origins of `sources`, or, with `--files-from`, of the names in `listed`, each with a NUL behind it.
    pub(crate) fn new(options: &Options, sources: &[impl AsRef<OsStr>], listed: Option<&[u8]>) -> Self {
        let mut origins = Origins::default();
        let relative = options.select.relative;
        match listed {
            None => sources.iter().for_each(|source| origins.add(source.as_ref().as_bytes(), relative)),
            Some(listed) if [&options.format, &options.log_format].into_iter().flatten().any(|it| it.has(b"f")) => {
                // They are beneath the source, also where they begin with a slash.
                listed
                    .split(|&b| b == 0)
                    .for_each(|name| origins.add(name.strip_prefix(b"/").unwrap_or(name), relative));
            }
            Some(_) => {}
        }
        origins
    }

    fn add(&mut self, argument: &[u8], relative: bool) {
        if relative {
            return self.add_relative(argument);
        }
        let argument = argument.strip_prefix(b"/").unwrap_or(argument);
        let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (above, name) = argument.split_at(split);
        match name {
            b"" | b"." | b".." => {
                self.contents.get_or_insert_with(|| shown(argument));
            }
            _ => self.put(name, shown(above), false),
        }
    }

    /// An argument that keeps its path, from `/./` on if that is in it.
    fn add_relative(&mut self, argument: &[u8]) {
        let at = argument.windows(3).position(|three| three == b"/./");
        let (above, path) = at.map_or((&b""[..], argument), |at| (&argument[..=at], &argument[at + 3..]));
        let mut above = collapsed(above);
        if !above.is_empty() {
            above.push(b'/');
        }
        let path = collapsed(path);
        match path.split(|&b| b == b'/').next() {
            Some(first) if !first.is_empty() => self.put(first, above, at.is_none() && argument.starts_with(b"/")),
            _ => drop(self.contents.get_or_insert(above)),
        }
    }

    fn put(&mut self, first: &[u8], above: Vec<u8>, absolute: bool) {
        if !self.named.contains_key(first) {
            self.named.insert(first.to_vec(), Origin { above, absolute });
        }
    }

    /// Where the path that consists of `rel` and `name` comes from.
    fn of(&self, rel: &[u8], name: &[u8]) -> Option<&Origin> {
        let path = if rel.is_empty() { name } else { rel };
        self.named.get(path.split(|&b| b == b'/').next()?)
    }

    /// What is above the path that consists of `rel` and `name`.
    pub(crate) fn above(&self, rel: &[u8], name: &[u8]) -> &[u8] {
        self.of(rel, name).map(|origin| &origin.above[..]).or(self.contents.as_deref()).unwrap_or_default()
    }

    /// What the sending side shows before the path that consists of `rel` and `name`.
    pub(crate) fn slash(&self, rel: &[u8], name: &[u8]) -> &'static [u8] {
        match self.of(rel, name) {
            Some(Origin { absolute: true, .. }) => b"/",
            _ => b"",
        }
    }
}
