//! `--info` and `--debug`: topics, what is said of them at each level of `-v`, and their lists.

use forebay_sync::Levels;

use super::value::Refusal;

/// What is asked of one of the two options, and what `-v` adds where nothing is asked.
#[derive(Debug)]
pub(super) struct Asked {
    topics: &'static [Topic],
    option: &'static str,
    /// Beside the topics: what was given for them.
    levels: Vec<Option<u8>>,
}

/// Something that can be said more or less of.
#[derive(Debug)]
struct Topic {
    name: &'static str,
    /// What it is, for the list.
    about: &'static str,
    /// The verbosities from which on it is said at level 1, 2, and so on.
    from: &'static [u8],
    /// Where its level is kept; topics without it are of processes and connections that are not here.
    slot: Option<fn(&mut Levels) -> &mut u8>,
}

const fn topic(
    name: &'static str,
    from: &'static [u8],
    slot: Option<fn(&mut Levels) -> &mut u8>,
    about: &'static str,
) -> Topic {
    Topic { name, about, from, slot }
}

const INFO: &[Topic] = &[
    topic("BACKUP", &[2], Some(|l| &mut l.backup), "Files that are backed up"),
    topic("COPY", &[1], Some(|l| &mut l.copy), "Files that are copied from another tree there"),
    topic("DEL", &[1], Some(|l| &mut l.del), "Deletions"),
    topic("FLIST", &[1], Some(|l| &mut l.flist), "That the file list is made (levels 1-2)"),
    topic("MISC", &[1, 2], None, "Other things (levels 1-2)"),
    topic("MOUNT", &[2], Some(|l| &mut l.mount), "File systems that are left out"),
    topic("NAME", &[1, 2], Some(|l| &mut l.name), "1) names of what changes, 2) also of what does not"),
    topic("NONREG", &[0], Some(|l| &mut l.nonreg), "What is no regular file and left out (default 1, 0 disables)"),
    topic("PROGRESS", &[], Some(|l| &mut l.progress), "Progress of 1) each file or 2) the whole transfer"),
    topic("REMOVE", &[2], Some(|l| &mut l.remove), "Files that are removed from the source"),
    topic("SKIP", &[2], Some(|l| &mut l.skip), "Files that options leave as they are (levels 1-2)"),
    topic("STATS", &[1], Some(|l| &mut l.stats), "Sums at the end (levels 1-3)"),
    topic("SYMSAFE", &[1], Some(|l| &mut l.symsafe), "Symlinks that are not safe"),
];

const DEBUG: &[Topic] = &[
    topic("ACL", &[3], None, "ACLs"),
    topic("BACKUP", &[3], None, "Backups (levels 1-2)"),
    topic("BIND", &[2], None, "Sockets"),
    topic("CHDIR", &[5], None, "Changes of the working directory"),
    topic("CONNECT", &[2, 3], None, "Connections (levels 1-2)"),
    topic("CMD", &[2, 4], Some(|l| &mut l.debug_cmd), "Commands that are run (levels 1-2)"),
    topic("DEL", &[2, 3, 4], Some(|l| &mut l.debug_del), "Deletions (levels 1-3)"),
    topic("DELTASUM", &[2, 3, 4, 5], Some(|l| &mut l.debug_deltasum), "Content found at the destination (levels 1-4)"),
    topic("DUP", &[2], None, "Names given twice"),
    topic("EXIT", &[3, 4], None, "The end (levels 1-3)"),
    topic("FILTER", &[2, 3], Some(|l| &mut l.debug_filter), "What which rule does (levels 1-3)"),
    topic("FLIST", &[2, 3, 4, 5], Some(|l| &mut l.debug_flist), "The file list (levels 1-4)"),
    topic("FUZZY", &[3, 5], None, "Similar files (levels 1-2)"),
    topic("GENR", &[3], None, "Comparing"),
    topic("HASH", &[5], None, "Tables"),
    topic("HLINK", &[5], None, "Hard links (levels 1-3)"),
    topic("ICONV", &[2, 4], None, "Character sets (levels 1-2)"),
    topic("IO", &[], None, "Transport (levels 1-4)"),
    topic("NSTR", &[], None, "Negotiation"),
    topic("OWN", &[3, 4], None, "Owners (levels 1-2)"),
    topic("PROTO", &[4], None, "The protocol"),
    topic("RECV", &[3], None, "Receiving"),
    topic("SEND", &[3], None, "Sending"),
    topic("TIME", &[3, 4], None, "Times that are set (levels 1-2)"),
];

impl Asked {
    pub(super) fn info() -> Self {
        Asked { topics: INFO, option: "--info", levels: vec![None; INFO.len()] }
    }

    pub(super) fn debug() -> Self {
        Asked { topics: DEBUG, option: "--debug", levels: vec![None; DEBUG.len()] }
    }

    /// Takes words like `name2`, `del`, `all`, `none`, with commas between them. True for `help`.
    pub(super) fn take(&mut self, words: &str) -> Result<bool, Refusal> {
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let digits = word.find(|c: char| c.is_ascii_digit()).unwrap_or(word.len());
            let (name, digits) = word.split_at(digits);
            let level = if digits.is_empty() { Some(1) } else { digits.parse::<u8>().ok() };
            let name = name.to_ascii_uppercase();
            let at = self.topics.iter().position(|topic| topic.name == name);
            match (&name[..], at, level) {
                ("HELP", ..) => return Ok(true),
                ("NONE", ..) => self.levels.fill(Some(0)),
                ("ALL", _, Some(level)) => self.levels.fill(Some(level)),
                (_, Some(at), Some(level)) => self.levels[at] = Some(level),
                _ => return Err(format!("Unknown {} item: \"{word}\"", self.option).into()),
            }
        }
        Ok(false)
    }

    /// Enters what is asked into `levels`, and else what `-v`, given `verbose` times, adds.
    pub(super) fn enter(&self, levels: &mut Levels, verbose: u8) {
        for (topic, asked) in self.topics.iter().zip(&self.levels) {
            let Some(slot) = topic.slot else { continue };
            let added = topic.from.iter().filter(|&&from| from <= verbose).count();
            let slot = slot(levels);
            *slot = asked.unwrap_or_else(|| (*slot).max(u8::try_from(added).unwrap_or(u8::MAX)));
        }
    }

    /// The topics that something was asked of, and what.
    pub(super) fn given(&self) -> Vec<(&'static str, u8)> {
        self.topics.iter().zip(&self.levels).filter_map(|(topic, level)| Some((topic.name, (*level)?))).collect()
    }

    /// The list of topics.
    pub(super) fn help(&self) -> String {
        let option = self.option;
        let mut out = String::from("Use OPT or OPT1 for level 1 output, OPT2 for level 2, etc.; OPT0 silences.\n\n");
        for topic in self.topics {
            out.push_str(&format!("{:<10} {}\n", topic.name, topic.about));
        }
        for (name, about) in [
            ("ALL", format!("Set all {option} options (e.g. all4)")),
            ("NONE", format!("Silence all {option} options (same as all0)")),
            ("HELP", "Output this help message".to_owned()),
        ] {
            let gap = if name == "ALL" { "\n" } else { "" };
            out.push_str(&format!("{gap}{name:<10} {about}\n"));
        }
        out.push_str("\nOptions added at each level of verbosity:\n");
        for verbosity in 0..=5 {
            let added: Vec<String> = self.topics.iter().filter_map(|topic| topic.added_at(verbosity)).collect();
            if !added.is_empty() {
                out.push_str(&format!("{verbosity}) {}\n", added.join(",")));
            }
        }
        out
    }
}

impl Topic {
    /// Its name with the level that `verbosity` adds, if it adds one.
    fn added_at(&self, verbosity: u8) -> Option<String> {
        let level = self.from.iter().position(|&from| from == verbosity)? + 1;
        Some(if level == 1 { self.name.to_owned() } else { format!("{}{level}", self.name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_counts_before_what_v_adds() {
        let mut asked = Asked::info();
        assert_eq!(asked.take("name0,DEL,progress2"), Ok(false));
        let mut levels = Levels::default();
        asked.enter(&mut levels, 2);
        assert_eq!((levels.name, levels.del, levels.progress, levels.skip, levels.flist), (0, 1, 2, 1, 1));
        assert_eq!(asked.take("help"), Ok(true));
        assert_eq!(asked.take("foo").unwrap_err().text, "Unknown --info item: \"foo\"");
        assert!(asked.take("name999").is_err());
    }
}
