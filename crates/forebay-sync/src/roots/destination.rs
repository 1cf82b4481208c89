//! Which directory the destination is: it is found, or made.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::absolute;
use crate::error::Error;
use crate::filter::clean;
use crate::fs::{self, Stat};
use crate::given;
use crate::mkpath;
use crate::outcome::Outcome;
use crate::shared::{Root, Shared};

/// What of the sources decides where they go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// There is one entry in all. As with rsync, it takes the name of a destination that does not exist.
    pub(crate) single: bool,
    /// It is no directory.
    pub(crate) single_file: bool,
    /// The root itself is transferred.
    pub(crate) contents: bool,
}

/// Finds or makes the destination for sources of this shape.
pub(crate) fn destination(
    shared: &Shared<'_>,
    shape: Shape,
    argument: &OsStr,
    note: &mut Outcome,
) -> Result<Root, Error> {
    find(shared, Some(shape), argument, note)
}

/// The destination where there is nothing to copy. As with rsync, it is held to what it would be for a single file.
pub(crate) fn destination_of_nothing(shared: &Shared<'_>, argument: &OsStr, note: &mut Outcome) -> Result<Root, Error> {
    find(shared, None, argument, note)
}

fn find(shared: &Shared<'_>, shape: Option<Shape>, argument: &OsStr, note: &mut Outcome) -> Result<Root, Error> {
    let argument = argument.as_bytes();
    let argument = if argument.is_empty() { b"." } else { argument };
    let file = Shape { single: true, single_file: true, contents: false };
    let Shape { single, single_file, contents } = shape.unwrap_or(file);
    let mut shown = clean(&absolute(argument));
    while shown.len() > 1 && shown.ends_with(b"/") {
        shown.pop();
    }
    let as_given = if argument.ends_with(b"/") && shown != b"/" { [&shown[..], b"/"].concat() } else { shown.clone() };
    let text = |before: &str, path: &[u8], errno: Errno| {
        let mut line = [given::warning(errno).as_bytes(), before.as_bytes()].concat();
        shared.options.escape.push(&mut line, path);
        let verb = if before.contains("ERROR") { ":" } else { " failed:" };
        line.extend_from_slice(format!("\"{verb} {}", fs::describe(errno)).as_bytes());
        String::from_utf8_lossy(&line).into_owned()
    };
    let (says, insecure) = (shared.options.says_more(), shared.options.insecure_links);
    let mut found = rustix::fs::statat(CWD, argument, AtFlags::empty()).map(Stat::from);
    if let Err(Errno::NOENT | Errno::NOTDIR) = found
        && shared.options.select.mkpath
    {
        let named = single && !argument.ends_with(b"/");
        let end = if named { argument.iter().rposition(|&b| b == b'/').unwrap_or(0) } else { argument.len() };
        let path = without_slashes(&argument[..end]);
        let made = mkpath::make(path, shared.options.dry_run, insecure).map_err(|errno| match errno {
            given::REFUSED => Error::Select(text("rsync: [Receiver] change_dir#1 \"", &as_given, errno)),
            errno => Error::Io(text("rsync: [Receiver] mkdir \"", &as_given, errno)),
        })?;
        if made > 0 && says {
            let what = if made == 1 { "directory" } else { "directories" };
            // As with rsync, which made the directories above a file.
            let told = if shape.is_some() { path } else { without_slashes(argument) };
            shared.say(note, &[format!("created {made} {what} for ").as_bytes()], told, b"\n");
        }
        if !shared.options.dry_run {
            found = rustix::fs::statat(CWD, argument, AtFlags::empty()).map(Stat::from);
        } else if made > 0 {
            found = Err(Errno::NOENT);
        }
    }
    let mut created = false;
    match found {
        Ok(stat) if stat.kind == FileType::Directory => {}
        Ok(_) if !single => {
            return Err(Error::Select("ERROR: destination must be a directory when copying more than 1 file".into()));
        }
        Ok(_) if !single_file => {
            return Err(Error::Select("ERROR: cannot overwrite non-directory with a directory".into()));
        }
        Err(Errno::NOENT) if !single || contents || argument.ends_with(b"/") => {
            created = true;
            let mut rename = None;
            if single && !argument.ends_with(b"/") {
                rename = beside(shared, argument, &shown, &text)?.rename;
            }
            // As with rsync, a single directory is made as those in it are, which `--existing` forbids.
            let makes = !(shared.options.select.existing && single && !argument.ends_with(b"/"));
            if makes && !shared.options.dry_run {
                given::make_dir(CWD, argument, insecure).map_err(|errno| match errno {
                    given::REFUSED => Error::Select(text("rsync: [Receiver] change_dir#2 \"", &shown, errno)),
                    errno => Error::Io(text("rsync: [Receiver] mkdir \"", &shown, errno)),
                })?;
            }
            if says && (!single || argument.ends_with(b"/")) {
                shared.say(note, &[b"created directory "], without_slashes(argument), b"\n");
            }
            if !makes || shared.options.dry_run {
                shown.push(b'/');
                return Ok(Root { fd: None, created, rename, shown });
            }
        }
        Err(errno) if errno != Errno::NOENT => {
            return Err(Error::Select(text("rsync: [Receiver] ERROR: cannot stat destination \"", &as_given, errno)));
        }
        _ => return beside(shared, argument, &shown, &text),
    }
    // Who may not look for names in it cannot enter it either.
    let entered =
        given::dir(CWD, argument, insecure).and_then(|fd| rustix::fs::statat(&fd, c".", AtFlags::empty()).map(|_| fd));
    let fd = entered.map_err(|errno| Error::Select(text("rsync: [Receiver] change_dir#1 \"", &shown, errno)))?;
    if shown != b"/" {
        shown.push(b'/');
    }
    Ok(Root { fd: Some(fd), created, rename: None, shown })
}

/// The one source entry goes to the name `argument`, which is no directory.
fn beside(
    shared: &Shared<'_>,
    argument: &[u8],
    shown: &[u8],
    text: &dyn Fn(&str, &[u8], Errno) -> String,
) -> Result<Root, Error> {
    let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = argument.split_at(split);
    let parent = if parent.is_empty() { b"." } else { parent };
    let split = shown.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let above = &shown[..split];
    // Any other byte can be in a name.
    let rename =
        CString::new(name).map_err(|_| Error::Select(text("rsync: [Receiver] stat \"", shown, Errno::INVAL)))?;
    let rename = Some(rename);
    match given::dir(CWD, parent, shared.options.insecure_links) {
        Ok(fd) => Ok(Root { fd: Some(fd), created: false, rename, shown: above.to_vec() }),
        // `--mkpath` would have made it.
        Err(Errno::NOENT) if shared.options.dry_run && shared.options.select.mkpath => {
            Ok(Root { fd: None, created: true, rename, shown: above.to_vec() })
        }
        Err(errno) => {
            let above = above.strip_suffix(b"/").filter(|above| !above.is_empty()).unwrap_or(above);
            Err(Error::Select(text("rsync: [Receiver] change_dir#3 \"", above, errno)))
        }
    }
}

pub(crate) fn without_slashes(path: &[u8]) -> &[u8] {
    &path[..path.len() - path.iter().rev().take_while(|&&b| b == b'/').count()]
}
