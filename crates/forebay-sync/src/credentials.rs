//! `--copy-as`: who reads and writes files, where that is not who runs the program.

use std::marker::PhantomData;
use std::process::Command;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;

use crate::error::Error;
use crate::idmap::{self, Ids};

/// A user with groups, as whom files are read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    uid: u32,
    gid: u32,
    /// All groups, the one above among them.
    groups: Vec<u32>,
}

impl Credentials {
    /// Reads `USER[:GROUP]`, names or numbers. With a group, that is the only one; else the groups are those that the user
    /// has on this machine.
    ///
    /// # Errors
    /// A line that says what does not exist.
    pub fn parse(argument: &str) -> Result<Self, String> {
        let (user, group) = match argument.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (argument, None),
        };
        let uid = id(Ids::Users, user)?.ok_or_else(|| format!("Invalid copy-as user: {user}"))?;
        if let Some(group) = group {
            let gid = id(Ids::Groups, group)?.ok_or_else(|| format!("Invalid copy-as group: {group}"))?;
            return Ok(Credentials { uid, gid, groups: vec![gid] });
        }
        let (name, gid) = account(uid).ok_or("rsync: [sender] getpwuid failed: Success (0)")?;
        let mut groups = vec![gid];
        groups.extend(memberships(&name).into_iter().filter(|&member| member != gid));
        Ok(Credentials { uid, gid, groups })
    }

    /// From now on the calling thread, and every thread that it starts, reads and writes files as this user, until what is
    /// returned is dropped. Other threads stay who they are.
    ///
    /// # Errors
    /// [`Error::Usage`] if the process may not become somebody else.
    pub(crate) fn take_on(&self) -> Result<Taken, Error> {
        let groups = rustix::process::getgroups().map_err(|errno| refused("getgroups", errno))?;
        let before =
            Taken { uid: rustix::process::geteuid(), gid: rustix::process::getegid(), groups, _here: PhantomData };
        let wanted: Vec<Gid> = self.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        thread::set_gid(Gid::from_raw(self.gid)).map_err(|errno| refused("setgid", errno))?;
        thread::set_groups(&wanted).map_err(|errno| refused("setgroups", errno))?;
        thread::set_uid(Uid::from_raw(self.uid)).map_err(|errno| refused("setuid", errno))?;
        Ok(before)
    }
}

fn refused(call: &str, errno: Errno) -> Error {
    Error::Usage(format!("rsync: [sender] {call} failed: {}", crate::fs::describe(errno)))
}

/// Who a thread was before it took on other credentials, which it becomes again in the end.
#[derive(Debug)]
pub(crate) struct Taken {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// It belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        // The user first: it is who may set the others. A thread that cannot go back may less than before, and nobody can be told.
        let _ = thread::set_uid(self.uid);
        let _ = thread::set_groups(&self.groups);
        let _ = thread::set_gid(self.gid);
    }
}

/// The system's credentials are those of threads; threads that are started inherit them. What a thread was before is kept as
/// its real and saved ids, so that it can be that again.
#[cfg(target_os = "linux")]
mod thread {
    use rustix::fs::{Gid, Uid};
    use rustix::io::Errno;

    pub(super) fn set_uid(uid: Uid) -> Result<(), Errno> {
        rustix::thread::set_thread_res_uid(None, Some(uid), None)
    }

    pub(super) fn set_gid(gid: Gid) -> Result<(), Errno> {
        rustix::thread::set_thread_res_gid(None, Some(gid), None)
    }

    pub(super) fn set_groups(groups: &[Gid]) -> Result<(), Errno> {
        rustix::thread::set_thread_groups(groups)
    }
}

/// Not on this system.
#[cfg(not(target_os = "linux"))]
mod thread {
    use rustix::fs::{Gid, Uid};
    use rustix::io::Errno;

    pub(super) fn set_uid(_: Uid) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    pub(super) fn set_gid(_: Gid) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    pub(super) fn set_groups(_: &[Gid]) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }
}

/// The number of the user or group that is called `text`, or that number itself.
fn id(ids: Ids, text: &str) -> Result<Option<u32>, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Some).map_err(|_| format!("Invalid ID number: {text}"));
    }
    Ok(if text.is_empty() { None } else { idmap::id(ids, text) })
}

/// The name of the user `uid`, and its group.
fn account(uid: u32) -> Option<(String, u32)> {
    let parse = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then_some((name.to_owned(), fields.next()?.parse().ok()?))
    };
    // A system without that file has a name service.
    let file = std::fs::read("/etc/passwd").unwrap_or_default();
    let found = String::from_utf8_lossy(&file).lines().find_map(parse);
    found.or_else(|| asked(&["passwd", "--", &uid.to_string()])?.lines().find_map(parse))
}

/// The groups that the user `name` is a member of, beside its own: what cannot be found out counts as none.
fn memberships(name: &str) -> Vec<u32> {
    if let Some(answer) = asked(&["initgroups", "--", name]) {
        return answer.split_whitespace().skip(1).filter_map(|gid| gid.parse().ok()).collect();
    }
    let file = std::fs::read("/etc/group").unwrap_or_default();
    let parse = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let (gid, members) = (fields.next()?.parse().ok()?, fields.next()?);
        members.split(',').any(|member| member == name).then_some(gid)
    };
    String::from_utf8_lossy(&file).lines().filter_map(parse).collect()
}

/// What the system's name service answers, if there is one.
fn asked(args: &[&str]) -> Option<String> {
    let output = Command::new("getent").args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        let two = Credentials { uid: 12, gid: 13, groups: vec![13] };
        assert_eq!(Credentials::parse("12:13"), Ok(two));
        let root = Credentials::parse("root").unwrap();
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 0, 0));
        assert_eq!(Credentials::parse("0").unwrap(), root);
        for (argument, text) in [
            ("no-such-user", "Invalid copy-as user: no-such-user"),
            ("", "Invalid copy-as user: "),
            ("-1", "Invalid copy-as user: -1"),
            (":root", "Invalid copy-as user: "),
            ("root:", "Invalid copy-as group: "),
            ("root:no-such-group", "Invalid copy-as group: no-such-group"),
            ("99999999999", "Invalid ID number: 99999999999"),
            ("4000000000", "rsync: [sender] getpwuid failed: Success (0)"),
        ] {
            assert_eq!(Credentials::parse(argument), Err(text.to_owned()), "{argument}");
        }
    }
}
