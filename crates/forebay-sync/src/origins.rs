//! Where in the file system the paths of a transfer come from, as the command line said it.

/// The sources, for `%f` in formats.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// The path above each source that is meant itself, and its name.
    named: Vec<(Vec<u8>, Vec<u8>)>,
    /// The first source whose contents are meant.
    contents: Option<Vec<u8>>,
    /// The first components of the sources that were given from the root of the file system on.
    absolute: Vec<Vec<u8>>,
}

impl Origins {
    pub(crate) fn add(&mut self, argument: &[u8]) {
        let whole = argument.starts_with(b"/") && !argument.windows(3).any(|three| three == b"/./");
        let first = argument.split(|&b| b == b'/').find(|part| !part.is_empty() && *part != b".");
        self.absolute.extend(first.filter(|_| whole).map(<[u8]>::to_vec));
        let argument = argument.strip_prefix(b"/").unwrap_or(argument);
        let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (above, name) = argument.split_at(split);
        match name {
            b"" | b"." | b".." if self.contents.is_none() => {
                let mut all = argument.to_vec();
                if !all.ends_with(b"/") && !all.is_empty() {
                    all.push(b'/');
                }
                self.contents = Some(all);
            }
            b"" | b"." | b".." => {}
            _ => self.named.push((above.to_vec(), name.to_vec())),
        }
    }

    /// Whether the source that has the path of `rel` and `name` was given from the root of the file system on.
    pub(crate) fn are_absolute(&self, rel: &[u8], name: &[u8]) -> bool {
        let first = rel.split(|&b| b == b'/').next().filter(|first| !first.is_empty()).unwrap_or(name);
        self.absolute.iter().any(|absolute| absolute == first)
    }

    /// What is above the path that consists of `rel` and `name`.
    pub(crate) fn above(&self, rel: &[u8], name: &[u8]) -> &[u8] {
        let first = rel.split(|&b| b == b'/').next().filter(|first| !first.is_empty()).unwrap_or(name);
        let named = self.named.iter().find(|(_, name)| name == first).map(|(above, _)| &above[..]);
        named.or(self.contents.as_deref()).unwrap_or_default()
    }
}
