//! `--version`: for people, and as JSON for programs, in the shape that rsync's has.

use super::args;

/// The release of rsync whose behaviour is followed, for programs that ask which options there are.
const FOLLOWED: &str = "3.5.0";

/// Words that programs look for, as text and in JSON, and the option without which they do not hold.
const CAPABILITIES: &[(&str, &str, &str)] = &[
    ("symlinks", "symlinks", "--links"),
    ("symtimes", "symtimes", "--times"),
    ("hardlinks", "hardlinks", "--hard-links"),
    ("atimes", "atimes", "--atimes"),
    ("batchfiles", "batchfiles", "--read-batch"),
    ("inplace", "inplace", "--inplace"),
    ("append", "append", "--append"),
    ("ACLs", "ACLs", "--acls"),
    ("xattrs", "xattrs", "--xattrs"),
    ("iconv", "iconv", "--iconv"),
    ("prealloc", "prealloc", "--preallocate"),
    ("stop-at", "stop_at", "--stop-at"),
    ("crtimes", "crtimes", "--crtimes"),
];

/// The text for people. The first line is what programs read.
pub(crate) fn text() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let words: Vec<String> = CAPABILITIES
        .iter()
        .map(|(word, _, option)| if args::is_there(option) { (*word).to_owned() } else { format!("no {word}") })
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
        CAPABILITIES.iter().map(|(_, name, option)| format!("    \"{name}\": {}", args::is_there(option))).collect();
    format!(
        "{{\n  \"program\": \"rsync\",\n  \"version\": \"{FOLLOWED}\",\n  \"protocol\": \"32.0\",\n  \
         \"forebay\": \"{own}\",\n  \"capabilities\": {{\n    \"file_bits\": 64,\n    \"inum_bits\": 64,\n    \
         \"timestamp_bits\": 64,\n{}\n  }}\n}}\n",
        capabilities.join(",\n")
    )
}
