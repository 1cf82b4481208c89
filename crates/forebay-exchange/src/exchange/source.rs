//! `source`: what a thread of the user's hands over becomes a stream, no faster than it can be sent.
//!
//! The thread blocks in [`IntakeSender::send`] while the worker is behind; the operator never blocks: it is activated
//! when there is something, and parks at the gate.

use std::fmt;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::sync::{Arc, OnceLock};

use forebay::Lease;
use timely::Accountable;
use timely::container::NoopBuilder;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::scheduling::SyncActivator;

use crate::exchange::{Exchange, Gate};
use crate::rows::Rows;

/// Most items that wait between the thread and the worker.
const WAITING: usize = 4;

/// Items that are converted before other operators have their turn.
const AT_ONCE: usize = 4;

/// Makes rows of items.
pub trait Convert<I, R>: 'static {
    /// Appends the rows of `item` to `out`.
    fn convert(&mut self, item: I, out: &mut R);

    /// A commit ends: appends what was kept back.
    fn flush(&mut self, out: &mut R) {
        let _ = out;
    }
}

impl<I, R, F: FnMut(I, &mut R) + 'static> Convert<I, R> for F {
    fn convert(&mut self, item: I, out: &mut R) {
        self(item, out);
    }
}

enum Message<I> {
    Item {
        commit: u64,
        item: I,
        lease: Option<Lease>,
    },
    /// No more items of commits below this one.
    Advance(u64),
}

/// The thread's end. Dropping it ends the stream.
pub struct IntakeSender<I> {
    messages: Option<SyncSender<Message<I>>>,
    worker: Arc<OnceLock<SyncActivator>>,
}

/// The worker's end: belongs to one [`source`].
pub struct Intake<I> {
    messages: Receiver<Message<I>>,
    worker: Arc<OnceLock<SyncActivator>>,
}

/// The worker is gone: nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeClosed;

impl fmt::Display for IntakeClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the worker no longer takes rows")
    }
}

impl std::error::Error for IntakeClosed {}

/// The two ends of a queue of four items from a thread to a worker's source.
pub fn intake<I: Send>() -> (IntakeSender<I>, Intake<I>) {
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let worker = Arc::new(OnceLock::new());
    (IntakeSender { messages: Some(sender), worker: Arc::clone(&worker) }, Intake { messages: receiver, worker })
}

impl<I> IntakeSender<I> {
    /// Hands over an item of `commit`, which is not below what was said to [`advance`](Self::advance); `lease`, if
    /// there is one, pays until it is converted. Waits while four items wait already.
    ///
    /// # Errors
    /// If the worker is gone.
    pub fn send(&self, commit: u64, item: I, lease: Option<Lease>) -> Result<(), IntakeClosed> {
        self.put(Message::Item { commit, item, lease })
    }

    /// As [`send`](Self::send), but does not wait.
    ///
    /// # Errors
    /// Gives the item and its lease back if four wait already, or if the worker is gone: [`send`](Self::send) tells.
    pub fn try_send(&self, commit: u64, item: I, lease: Option<Lease>) -> Result<(), (I, Option<Lease>)> {
        let message = Message::Item { commit, item, lease };
        let back = match &self.messages {
            None => message,
            Some(messages) => match messages.try_send(message) {
                Ok(()) => {
                    self.wake();
                    return Ok(());
                }
                Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => message,
            },
        };
        match back {
            Message::Item { item, lease, .. } => Err((item, lease)),
            Message::Advance(_) => unreachable!("an item comes back as it was"),
        }
    }

    /// Says that no more items of commits below `commit` come. A source without items says so too, or its commits are
    /// never sealed.
    ///
    /// # Errors
    /// If the worker is gone.
    pub fn advance(&self, commit: u64) -> Result<(), IntakeClosed> {
        self.put(Message::Advance(commit))
    }

    fn put(&self, message: Message<I>) -> Result<(), IntakeClosed> {
        let Some(messages) = &self.messages else { return Err(IntakeClosed) };
        messages.send(message).map_err(|_| IntakeClosed)?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        if let Some(worker) = self.worker.get() {
            // A worker that is gone is noticed when something is sent.
            let _ = worker.activate();
        }
    }
}

impl<I> Drop for IntakeSender<I> {
    fn drop(&mut self) {
        self.messages = None;
        self.wake();
    }
}

impl<I> fmt::Debug for IntakeSender<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntakeSender")
    }
}

impl<I> fmt::Debug for Intake<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intake")
    }
}

/// A stream of the rows that `convert` makes of what comes through `intake`. Reads nothing while `gate` is shut.
pub fn source<'scope, I: Send + 'static, R: Rows + Accountable>(
    scope: Scope<'scope, u64>,
    exchange: &Exchange,
    gate: &Gate,
    intake: Intake<I>,
    mut convert: impl Convert<I, R>,
) -> Stream<'scope, u64, R> {
    let mut builder = OperatorBuilder::new("source".to_owned(), scope);
    let (output, rows) = builder.new_output();
    let mut output = OutputBuilder::<_, NoopBuilder<R>>::from(output);
    let info = builder.operator_info();
    let activator = Rc::new(scope.activator_for(info.address.clone()));
    // The sender was handed out before there was a worker to wake.
    let _ = intake.worker.set(scope.worker().sync_activator_for(info.address.to_vec()));
    let (gate, metrics) = (gate.clone(), Arc::clone(exchange.metrics()));

    builder.build(move |mut capabilities| {
        let mut capability = capabilities.pop();
        let mut out: R = gate.container();
        let mut next = None;
        // The first look, for what was sent before there was an operator.
        activator.activate();
        move |_| {
            let _timed = metrics.source.activated();
            let Some(time) = &mut capability else { return };
            let mut output = output.activate();
            for _ in 0..AT_ONCE {
                let message = match next.take().map_or_else(|| intake.messages.try_recv(), Ok) {
                    Ok(message) => message,
                    Err(TryRecvError::Empty) => return,
                    Err(TryRecvError::Disconnected) => {
                        convert.flush(&mut out);
                        if !Rows::is_empty(&out) {
                            output.session_with_builder(&*time).give_container(&mut out);
                        }
                        capability = None;
                        return;
                    }
                };
                match message {
                    Message::Item { commit, item, lease } => {
                        if !gate.admits(commit, &activator) {
                            next = Some(Message::Item { commit, item, lease });
                            return;
                        }
                        if commit > *time.time() {
                            finish(&mut convert, &mut out, |out| {
                                output.session_with_builder(&*time).give_container(out);
                            });
                            time.downgrade(&commit);
                        }
                        convert.convert(item, &mut out);
                        drop(lease);
                        if !Rows::is_empty(&out) {
                            output.session_with_builder(&*time).give_container(&mut out);
                            out = gate.container();
                        }
                    }
                    Message::Advance(commit) => {
                        if commit > *time.time() {
                            finish(&mut convert, &mut out, |out| {
                                output.session_with_builder(&*time).give_container(out);
                            });
                            time.downgrade(&commit);
                        }
                    }
                }
            }
            activator.activate();
        }
    });
    rows
}

/// Gives what `convert` kept back.
fn finish<I, R: Rows>(convert: &mut impl Convert<I, R>, out: &mut R, give: impl FnOnce(&mut R)) {
    convert.flush(out);
    if !out.is_empty() {
        give(out);
        out.clear();
    }
}
