//! `-H`: entries of the source that are one file under several names.
//!
//! The [census](crate::census) has looked at the tree before and says which names belong together and which of them is
//! the *leader*, whose content is transferred: the first that the destination has, else the last. The others become
//! hard links to it, and their lines refer to it, in rsync's order: those of names before the leader come behind its
//! own line, last first.
//!
//! Workers see the names in any order, and none waits for another. Whoever comes first makes the file under its own
//! name; who comes while it is being made is put on a list, and the maker works the list off. A line that belongs where
//! its worker has already left is filled in when the log comes to that place: by then everything before it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dir::Dir;
use crate::order;
use crate::outcome::Outcome;

/// Device and number.
pub(crate) type Inode = (u64, u64);

/// What the destination has under a name, and whether that is up to date.
pub(crate) type Existing = (Inode, bool);

/// The groups of a mirror. Only what has several names in the tree is in it, or may have: of lists that come one by one, who
/// leads is settled as soon as the first of its names is worked on.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Mutex<HashMap<Inode, Group>>,
    /// By the number of a list: groups whose leader is in it.
    lists: Mutex<HashMap<i32, Vec<Inode>>>,
}

#[derive(Debug)]
struct Group {
    /// Its path in the tree.
    leader: Vec<u8>,
    /// What the destination had under the leader's name.
    existing: Option<Existing>,
    /// Whether the leader has been worked on, with success or not.
    passed: bool,
    /// Whether it has stayed and got other extended attributes.
    dressed: bool,
    made: Made,
    waiting: Vec<Waiting>,
    /// Lines of names before the leader, which come behind the leader's.
    lines: Vec<(Vec<u8>, Lines)>,
    /// What those had to say that were on the list, for their own places.
    late: Vec<(Vec<u8>, Lines)>,
}

/// What there is to say of a name, for another place than that of whoever works on it.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// For standard output.
    pub(crate) text: Vec<u8>,
    /// For the log file.
    pub(crate) log: Vec<u8>,
}

impl Lines {
    /// Takes them out of `outcome`.
    pub(crate) fn of(outcome: &mut Outcome) -> Self {
        Lines { text: std::mem::take(&mut outcome.text), log: std::mem::take(&mut outcome.log) }
    }
}

#[derive(Clone, Debug)]
enum Made {
    No,
    Making,
    Yes(Link),
}

/// Where the file is at the destination.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) path: Vec<u8>,
    pub(crate) inode: Inode,
}

/// A name on the list.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) dir: Arc<Dir>,
    pub(crate) at: usize,
}

impl Waiting {
    pub(crate) fn path(&self) -> Vec<u8> {
        [&self.dir.rel, self.dir.listing.name(self.at).to_bytes()].concat()
    }
}

/// What a worker is to do with a name.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It makes the file; the leader in the usual way.
    Make,
    /// The file exists.
    Link(Link),
    /// Somebody else will do it.
    Wait,
}

/// Where a name is among those of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    BeforeLeader,
    Leader,
    AfterLeader,
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, HashMap<Inode, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is such a group.
    pub(crate) fn contains(&self, inode: Inode) -> bool {
        self.lock().contains_key(&inode)
    }

    /// Adds a group, whose leader is in the list number `list`.
    pub(crate) fn insert(&self, inode: Inode, leader: Vec<u8>, existing: Option<Existing>, list: i32) {
        let group = Group {
            leader,
            existing,
            passed: false,
            dressed: false,
            made: Made::No,
            waiting: Vec::new(),
            lines: Vec::new(),
            late: Vec::new(),
        };
        self.lock().insert(inode, group);
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.entry(list).or_default().push(inode);
    }

    /// The place of `path` in its group, the leader's path, and what the destination had there and whether that is up to date;
    /// `None` without a group.
    pub(crate) fn role(&self, inode: Inode, path: &[u8]) -> Option<(Role, Vec<u8>, Option<Existing>)> {
        let groups = self.lock();
        let group = groups.get(&inode)?;
        Some((group.role(path), group.leader.clone(), group.existing))
    }

    /// Whose turn it is, when the name `path` is worked on. If the content comes `later`, nobody makes it but the leader, as
    /// long as that has not failed.
    pub(crate) fn turn(&self, inode: Inode, path: &[u8], later: bool, waiting: impl FnOnce() -> Waiting) -> Turn {
        let mut groups = self.lock();
        let Some(group) = groups.get_mut(&inode) else {
            return Turn::Make;
        };
        let role = group.role(path);
        match (&group.made, role, group.existing) {
            (Made::Yes(link), ..) => return Turn::Link(link.clone()),
            (Made::No, Role::BeforeLeader, Some((inode, true))) => {
                return Turn::Link(Link { path: group.leader.clone(), inode });
            }
            (Made::No, Role::BeforeLeader, _) if later && !group.passed => {
                group.waiting.push(waiting());
                return Turn::Wait;
            }
            (Made::No, Role::BeforeLeader | Role::Leader, _) => {}
            (Made::No, Role::AfterLeader, _) if group.passed => {}
            _ => {
                group.waiting.push(waiting());
                return Turn::Wait;
            }
        }
        group.made = Made::Making;
        Turn::Make
    }

    /// Takes note that the leader has stayed and got other extended attributes.
    pub(crate) fn dress(&self, inode: Inode) {
        self.lock().get_mut(&inode).into_iter().for_each(|group| group.dressed = true);
    }

    /// Whether it has.
    pub(crate) fn is_dressed(&self, inode: Inode) -> bool {
        self.lock().get(&inode).is_some_and(|group| group.dressed)
    }

    /// Ends the turn of `path`, which has made the file or failed, or has only linked it (`made` as before). Gives those
    /// who waited for that.
    pub(crate) fn done(&self, inode: Inode, path: &[u8], made: Option<Link>) -> Vec<Waiting> {
        let mut groups = self.lock();
        let Some(group) = groups.get_mut(&inode) else {
            return Vec::new();
        };
        group.passed |= group.role(path) == Role::Leader;
        group.made = made.map_or(Made::No, Made::Yes);
        std::mem::take(&mut group.waiting)
    }

    /// Keeps the line of a name before the leader.
    pub(crate) fn keep_line(&self, inode: Inode, path: &[u8], line: Lines) {
        if let Some(group) = self.lock().get_mut(&inode)
            && !(line.text.is_empty() && line.log.is_empty())
        {
            group.lines.push((path.to_vec(), line));
        }
    }

    /// Keeps what `path` has to say for its own place.
    pub(crate) fn keep_late(&self, inode: Inode, path: &[u8], lines: Lines) {
        if let Some(group) = self.lock().get_mut(&inode) {
            group.late.push((path.to_vec(), lines));
        }
    }

    /// What belongs to the place of `path`.
    pub(crate) fn take(&self, inode: Inode, path: &[u8]) -> Lines {
        let mut groups = self.lock();
        let Some(group) = groups.get_mut(&inode) else {
            return Lines::default();
        };
        let late = group.late.iter().position(|(at, _)| at == path).map(|at| group.late.swap_remove(at).1);
        let mut all = late.unwrap_or_default();
        if group.role(path) == Role::Leader {
            let mut lines = std::mem::take(&mut group.lines);
            lines.sort_by(|(a, _), (b, _)| order::compare_paths(b, a));
            for (_, line) in lines {
                all.text.extend_from_slice(&line.text);
                all.log.extend_from_slice(&line.log);
            }
        }
        all
    }

    /// Everything in the list number `list` has had its turn. Those who wait for a leader in it that never came: whoever is
    /// next makes the file.
    pub(crate) fn abandoned(&self, list: i32) -> Vec<Waiting> {
        let led = self.lists.lock().unwrap_or_else(PoisonError::into_inner).remove(&list).unwrap_or_default();
        let mut groups = self.lock();
        let mut waiting = Vec::new();
        for inode in led {
            if let Some(group) = groups.get_mut(&inode).filter(|group| !group.passed && matches!(group.made, Made::No))
            {
                group.passed = true;
                waiting.append(&mut group.waiting);
            }
        }
        waiting
    }
}

impl Group {
    fn role(&self, path: &[u8]) -> Role {
        match order::compare_paths(path, &self.leader) {
            std::cmp::Ordering::Less => Role::BeforeLeader,
            std::cmp::Ordering::Equal => Role::Leader,
            std::cmp::Ordering::Greater => Role::AfterLeader,
        }
    }
}
