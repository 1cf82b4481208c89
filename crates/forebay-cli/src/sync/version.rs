//! `--version`: for people, and as JSON for programs, in the shape that rsync's has.

use forebay_sync::Offer;

use super::args;

/// The release of rsync whose behaviour is followed, for programs that ask which options there are.
const FOLLOWED: &str = "3.5.0";

/// Words that programs look for, as text and in JSON, and the option without which they do not hold.
const CAPABILITIES: &[(&str, &str, &str)] = &[
    ("symlinks", "symlinks", "--links"),
    ("symtimes", "symtimes", "--times"),
    ("hardlinks", "hardlinks", "--hard-links"),
    ("hardlink-specials", "hardlink_specials", "--hard-links"),
    ("hardlink-symlinks", "hardlink_symlinks", "--hard-links"),
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

/// What stock rsync has from elsewhere, or has not, to be faster. What is fast here is plain Rust.
const OPTIMIZATIONS: [&str; 4] = ["SIMD_roll", "asm_roll", "openssl_crypto", "asm_MD5"];

/// The sums and compressors that are offered to another machine, by name, and that there may be none.
fn lists() -> [Vec<&'static str>; 2] {
    let Offer { checksum_list, compressor_list, .. } = Offer::default();
    let mut lists = [
        checksum_list.iter().map(|sum| sum.name()).collect::<Vec<_>>(),
        compressor_list.iter().map(|compressor| compressor.name()).collect(),
    ];
    lists.iter_mut().for_each(|list| list.push("none"));
    lists
}

/// The text for people. The first line is what programs read.
pub(crate) fn text() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let words: Vec<String> = CAPABILITIES
        .iter()
        .map(|(word, _, option)| if args::is_there(option) { (*word).to_owned() } else { format!("no {word}") })
        .collect();
    let [sums, compressors] = lists().map(|list| list.join(" "));
    format!(
        "rsync  version {FOLLOWED}  protocol version 32\n\
         forebay sync {own}, which does what that rsync does\n\
         Capabilities:\n    64-bit files, 64-bit inums, 64-bit timestamps, {}\n\
         Checksum list:\n    {sums}\nCompress list:\n    {compressors}\n",
        words.join(", ")
    )
}

/// The text for programs.
pub(crate) fn json() -> String {
    let own = env!("CARGO_PKG_VERSION");
    let (authors, license) = (env!("CARGO_PKG_AUTHORS"), env!("CARGO_PKG_LICENSE"));
    let url = env!("CARGO_PKG_REPOSITORY");
    let capabilities: Vec<String> =
        CAPABILITIES.iter().map(|(_, name, option)| format!("    \"{name}\": {}", args::is_there(option))).collect();
    let optimizations = OPTIMIZATIONS.map(|name| format!("    \"{name}\": false"));
    let [sums, compressors] =
        lists().map(|list| list.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "));
    // There is no daemon, which would use sockets and ask for passwords.
    format!(
        "{{\n  \"program\": \"rsync\",\n  \"version\": \"{FOLLOWED}\",\n  \"protocol\": \"32.0\",\n  \
         \"forebay\": \"{own}\",\n  \"copyright\": \"(C) 2026 {authors}\",\n  \"url\": \"{url}\",\n  \
         \"capabilities\": {{\n    \"file_bits\": 64,\n    \"inum_bits\": 64,\n    \
         \"timestamp_bits\": 64,\n    \"long_int_bits\": 64,\n    \"socketpairs\": false,\n    \"IPv6\": false,\n    \
         \"ACL_at\": true,\n    \"secluded_args\": \"optional\",\n{}\n  }},\n  \"optimizations\": {{\n{}\n  }},\n  \
         \"checksum_list\": [{sums}],\n  \"compress_list\": [{compressors}],\n  \"daemon_auth_list\": [],\n  \
         \"license\": \"{license}\",\n  \"caveat\": \"forebay comes without warranty of any kind\"\n}}\n",
        capabilities.join(",\n"),
        optimizations.join(",\n")
    )
}
