//! Asks for the content of a file: what it can be built from is found and signed here, by whichever worker has the file.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use forebay_delta::Input;

use super::item::{self, Item, basis, flag};
use super::ledger::{Basis, Expected};
use super::values::Lacking;
use crate::alternates::Found;
use crate::error::Error;
use crate::itemize;
use crate::options::Append;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::wire::sums::SumHead;
use crate::worker::{Entry, Worker};

impl Worker<'_> {
    /// Asks for the file, and says what will be said of it then. With `again`, what came the first time was wrong.
    pub(crate) fn request(
        &mut self,
        entry: &Entry<'_>,
        found: Option<&Found>,
        again: bool,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        let (shared, options) = (self.shared, self.shared.options);
        let (Some(remote), Some(index)) = (&shared.remote, entry.src.index) else { return Ok(()) };
        if remote.closed.load(Ordering::Acquire) {
            // What it has waited for has not come, and that has been said.
            out.totals.failed += 1;
            return Ok(());
        }
        let mut counted = Outcome::default();
        let mut change = self.transfer_change(entry, found, &mut counted);
        // As with rsync, which does not compare again.
        change.content &= !again;
        let mut item = Item { flags: item::flags(&change) | flag::TRANSFER, ..Item::default() };
        self.count_transfer(entry, &mut counted);
        let mut awaited = remote.keep(|out| match options.dry_run {
            true => itemize::lines(shared, out, &change, &entry.named(), None),
            false => itemize::ahead(shared, out, &change, &entry.named()),
        });
        // As with rsync, what the other side cannot send does not count.
        if !again {
            awaited.totals = counted.totals;
        }
        let tells = !options.dry_run && itemize::tells_behind(options);
        awaited.said = tells.then(|| change.into());
        let lacking = entry.lacking(shared);
        if !lacking.is_empty() {
            item.flags |= flag::XATTR;
        }
        awaited.values = Lacking::of(&entry.rel(), lacking);
        let Some(ready) = entry.ready.filter(|_| !options.dry_run) else {
            remote.ask(shared, out, index, &item, &[], awaited);
            return Ok(());
        };
        let from = entry.usable().filter(|_| options.append.is_some() && !again).map_or(0, |old| old.size);
        // Of what is appended to, the first time round, the sender awaits the length alone.
        let signs = !options.whole_file && (options.append.is_none() || again);
        let strong = remote.terms.of_block().filter(|_| signs);
        let mut sums = Vec::new();
        let (mut head, mut basis) = (SumHead::default(), Basis::None);
        if from > 0 {
            head = SumHead::of(from, options.block_size, remote.terms.transfer.len(), false);
            head.write(&mut sums);
            basis = Basis::Itself;
        } else if let Some(strong) = strong
            && let Some((found, file)) = self.basis(entry, ready, found)
        {
            (head, sums) = sign(shared, self.copier.workers, file, strong, again);
            basis = if head.count > 0 { found } else { Basis::None };
        }
        if sums.is_empty() {
            head = SumHead::default();
            head.write(&mut sums);
        }
        let name;
        match &basis {
            Basis::None | Basis::Itself => {}
            Basis::Partial => item.basis = Some(basis::PARTIAL),
            Basis::Alternate(tree) => item.basis = u8::try_from(*tree).ok().filter(|tree| *tree < basis::ALTERNATES),
            Basis::Like(like, tree) => {
                let more = tree.map_or(0, |tree| tree + 1);
                item.basis = u8::try_from(usize::from(basis::FUZZY) + more).ok();
                name = like.clone();
                item.name = Some(name.to_bytes());
            }
        }
        awaited.file = Some(Box::new(Expected {
            dir: Arc::clone(entry.dir),
            at: entry.at,
            old: entry.old,
            size: entry.src.size,
            like: entry.like(shared, found),
            basis,
            head,
            from,
            verify: options.append == Some(Append::Verify),
            again,
        }));
        remote.ask(shared, out, index, &item, &sums, awaited);
        Ok(())
    }
}

/// The sums of the blocks of `file`, and what stands before them, by `workers` threads where it is long. None where it cannot be
/// read: then all is sent.
fn sign(
    shared: &Shared<'_>,
    workers: usize,
    file: OwnedFd,
    strong: forebay_delta::Strong,
    whole: bool,
) -> (SumHead, Vec<u8>) {
    let (options, file) = (shared.options, File::from(file));
    let Ok(len) = file.metadata().map(|metadata| metadata.len()) else { return <_>::default() };
    let head = SumHead::of(len, options.block_size, strong.digest_len(), whole);
    let settings = shared.settings(workers);
    let mut sums = Vec::new();
    head.write(&mut sums);
    match head.sign(Input::File(&file, len), strong, &settings, &mut sums) {
        Ok(_) => (head, sums),
        Err(_) => <_>::default(),
    }
}

/// Opens what `basis` names, as it was when it was signed or as whoever can write there has made it since.
pub(crate) fn open(
    shared: &Shared<'_>,
    worker: &mut Worker<'_>,
    entry: &Entry<'_>,
    at: BorrowedFd<'_>,
    basis: &Basis,
) -> Option<OwnedFd> {
    use crate::content::partial;
    use crate::fs;
    match basis {
        Basis::None => None,
        Basis::Itself => fs::open_file(at, entry.target).ok(),
        Basis::Partial => {
            let dir = partial::dir(shared, at, false).ok()?;
            fs::open_file(dir.as_fd(), entry.target).ok()
        }
        Basis::Alternate(tree) => {
            worker.alternates.enter(shared, &entry.dir.rel);
            fs::open_file(worker.alternates.get(*tree)?.as_fd(), entry.name).ok()
        }
        Basis::Like(name, None) => fs::open_file(at, name).ok(),
        Basis::Like(name, Some(tree)) => {
            worker.alternates.enter(shared, &entry.dir.rel);
            fs::open_file(worker.alternates.get(*tree)?.as_fd(), name).ok()
        }
    }
}
