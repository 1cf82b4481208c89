//! `--version`: for people, and as JSON for programs, in the shape that rsync's has.

/// The release of rsync whose behaviour is followed, for programs that ask which options there are.
const FOLLOWED: &str = "3.5.0";

/// Words, and whether they hold. Programs look for them by name.
const CAPABILITIES: &[(&str, &str, bool)] = &[
    ("symlinks", "symlinks", true),
    ("symtimes", "symtimes", true),
    ("hardlinks", "hardlinks", false),
    ("batchfiles", "batchfiles", false),
    ("inplace", "inplace", false),
    ("append", "append", false),
    ("ACLs", "ACLs", false),
    ("xattrs", "xattrs", false),
    ("iconv", "iconv", false),
    ("prealloc", "prealloc", false),
    ("stop-at", "stop_at", false),
    ("crtimes", "crtimes", false),
];

/// The text for people. The first line is what programs read.
pub(crate) fn text() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let words: Vec<String> = CAPABILITIES
        .iter()
        .map(|(word, _, holds)| if *holds { (*word).to_owned() } else { format!("no {word}") })
        .collect();
    format!(
        "rsync  version {FOLLOWED}  protocol version 32\n\
         forebay sync {own}, which does between local trees what that rsync does\n\
         Capabilities:\n    64-bit files, 64-bit inums, 64-bit timestamps, {}\n",
        words.join(", ")
    )
}

/// The text for programs.
pub(crate) fn json() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let capabilities: Vec<String> =
        CAPABILITIES.iter().map(|(_, name, holds)| format!("    \"{name}\": {holds}")).collect();
    format!(
        "{{\n  \"program\": \"rsync\",\n  \"version\": \"{FOLLOWED}\",\n  \"protocol\": \"32.0\",\n  \
         \"forebay\": \"{own}\",\n  \"capabilities\": {{\n    \"file_bits\": 64,\n    \"inum_bits\": 64,\n    \
         \"timestamp_bits\": 64,\n{}\n  }}\n}}\n",
        capabilities.join(",\n")
    )
}
