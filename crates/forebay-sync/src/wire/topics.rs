//! What of `--info` a client tells the other side: topics of which that side says something that the client cannot.

/// All topics, and whether a sender and a receiver are told of them.
const TOPICS: [(&str, [bool; 2]); 13] = [
    ("BACKUP", [false, true]),
    ("COPY", [false, true]),
    ("DEL", [false, true]),
    ("FLIST", [false, false]),
    ("MISC", [true, true]),
    ("MOUNT", [true, true]),
    ("NAME", [true, true]),
    ("NONREG", [false, true]),
    ("PROGRESS", [false, false]),
    ("REMOVE", [true, false]),
    ("SKIP", [false, true]),
    ("STATS", [true, true]),
    ("SYMSAFE", [true, true]),
];

/// The option for a server that sends or receives, if `asked` has anything for it. Of a level for every topic, that of most of
/// them comes first, and what differs behind it.
pub(crate) fn told(asked: &[(&str, u8)], server_sends: bool) -> Option<String> {
    let level = |topic: &str| asked.iter().find(|(name, _)| *name == topic).map(|(_, level)| *level);
    let word = |name: &str, level| if level == 1 { name.to_owned() } else { format!("{name}{level}") };
    let all: Option<Vec<u8>> = TOPICS.iter().map(|(name, _)| level(name)).collect();
    let most = all.and_then(|all| all.iter().copied().max_by_key(|one| all.iter().filter(|l| *l == one).count()));
    let base = most.map(|level| if level == 0 { "NONE".to_owned() } else { word("ALL", level) });
    let differing = TOPICS.iter().filter_map(|&(name, [sender, receiver])| {
        let level = level(name).filter(|level| Some(*level) != most)?;
        (if server_sends { sender } else { receiver }).then(|| word(name, level))
    });
    let words: Vec<_> = base.into_iter().chain(differing).collect();
    (!words.is_empty()).then(|| format!("--info={}", words.join(",")))
}
