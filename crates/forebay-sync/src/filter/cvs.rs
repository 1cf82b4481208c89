//! What CVS ignores: its own patterns, those of the user, and those in the environment.

use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use super::list::{Context, List, add_file};
use super::parse::{Modifiers, Origin, Style};
use super::{FilterError, Filters, file};

/// The patterns that CVS begins with, as rsync's manual page lists them.
const DEFAULT: &[u8] = b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ \
    *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// The rules that `C` stands for, with the other modifiers of the rule that has it.
pub(super) fn rules(include: bool, modifiers: Modifiers, insecure_links: bool) -> Result<List, FilterError> {
    let within = Modifiers { cvs: true, words: true, perishable: true, ..modifiers };
    let label: Arc<[u8]> = (*b" [global CVS]").into();
    let context = Context {
        style: Style::Plain { include, clears: true },
        within,
        list: Some(&label),
        ..Context::argument(Style::Full, &Filters { insecure_links, ..Filters::default() })
    };
    let mut list = List::default();
    for pattern in DEFAULT.split(|&b| b == b' ') {
        super::list::add(&mut list, pattern, &context)?;
    }
    let context = Context { within: Modifiers { perishable: modifiers.perishable, ..within }, ..context };
    if let Some(home) = std::env::var_os("HOME") {
        let path = [&home.into_vec()[..], b"/.cvsignore"].concat();
        // A file that cannot be read counts as absent.
        if let Ok(text) = file::open(&path, &path, true, false, insecure_links) {
            let context = Context { origin: Origin::File(&path, None), ..context };
            add_file(&mut list, &text, &path, &context)?;
        }
    }
    for word in std::env::var_os("CVSIGNORE").unwrap_or_default().into_vec().split(u8::is_ascii_whitespace) {
        super::list::add(&mut list, word, &context)?;
    }
    Ok(list)
}
