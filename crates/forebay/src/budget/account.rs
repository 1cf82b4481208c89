//! The accounts of a budget: who has what, who waits for what, and the one lock over all of it.

use std::sync::Weak;

use super::{Holding, OverBudget, Reclaim};
use crate::event::Event;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};

pub(super) struct Pool {
    pub(super) limit: usize,
    /// Mirror of `State::charged` for checks that need no exact answer.
    charged: AtomicUsize,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Sum of `max(used, minimum)` over the consumers.
    charged: usize,
    /// Sum of the minimums.
    promised: usize,
    pub(super) used: usize,
    pub(super) peak: usize,
    pub(super) overdraft_peak: usize,
    accounts: Vec<Option<Account>>,
    next_id: u64,
    /// Accounts whose `hungry` is set.
    hungry: usize,
}

pub(super) struct Account {
    name: String,
    minimum: usize,
    pub(super) used: usize,
    pub(super) peak: usize,
    pub(super) reclaim: Option<Weak<dyn Reclaim>>,
    /// Bytes that were refused to somebody who now waits.
    hungry: Option<usize>,
    /// What its waiters listen to.
    pub(super) room: Arc<Event>,
    /// What to call beside notifying `room`.
    call: Option<Box<dyn FnOnce() + Send>>,
}

/// What happens when bytes do not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing.
    Nothing,
    /// The account's waiters are woken once they do.
    Hunger,
    /// They are taken all the same.
    Overdraw,
}

/// Somebody who waited and may try again.
struct Fed {
    room: Arc<Event>,
    call: Option<Box<dyn FnOnce() + Send>>,
}

impl Fed {
    /// Without the pool's lock.
    fn wake(self) {
        self.room.notify();
        if let Some(call) = self.call {
            call();
        }
    }
}

impl State {
    pub(super) fn account(&mut self, slot: usize) -> &mut Account {
        match &mut self.accounts[slot] {
            Some(account) => account,
            None => unreachable!("a consumer keeps its account until it is dropped"),
        }
    }

    /// What the account and the pool would be charged with `bytes` more, and whether the pool has room for that.
    fn charged_with(&mut self, limit: usize, slot: usize, bytes: usize) -> Option<(usize, usize, bool)> {
        let account = self.account(slot);
        let used = account.used.checked_add(bytes)?;
        let extra = used.max(account.minimum) - account.used.max(account.minimum);
        let charged = self.charged.saturating_add(extra);
        // What lies within a minimum was set aside before, so it is granted even while others have overdrawn the pool.
        Some((used, charged, extra == 0 || charged <= limit))
    }

    /// Takes or refuses `bytes`; whether it took them.
    fn charge(&mut self, limit: usize, slot: usize, bytes: usize, overdraw: bool) -> bool {
        let with = self.charged_with(limit, slot, bytes);
        let Some((used, charged, _)) = with.filter(|(_, _, fits)| *fits || overdraw) else {
            return false;
        };
        let account = self.account(slot);
        account.used = used;
        account.peak = account.peak.max(used);
        self.charged = charged;
        self.used = self.used.saturating_add(bytes);
        self.peak = self.peak.max(self.used);
        self.overdraft_peak = self.overdraft_peak.max(charged.saturating_sub(limit));
        true
    }

    /// Gives `bytes` back; returns whom to wake.
    fn refund(&mut self, limit: usize, slot: usize, bytes: usize) -> Vec<Fed> {
        let account = self.account(slot);
        let before = account.used.max(account.minimum);
        account.used -= bytes;
        let after = account.used.max(account.minimum);
        self.charged -= before - after;
        self.used -= bytes;
        self.fed(limit)
    }

    /// Takes everyone who now fits off the list of the hungry.
    fn fed(&mut self, limit: usize) -> Vec<Fed> {
        if self.hungry == 0 {
            return Vec::new();
        }
        let mut woken = Vec::new();
        for account in self.accounts.iter_mut().flatten() {
            let Some(wanted) = account.hungry else {
                continue;
            };
            let slack = account.minimum.saturating_sub(account.used);
            // A wish for nothing is one for the pool to be within its limit.
            let within_minimum = wanted > 0 && wanted <= slack;
            if within_minimum || self.charged.saturating_add(wanted.saturating_sub(slack)) <= limit {
                account.hungry = None;
                self.hungry -= 1;
                woken.push(Fed { room: Arc::clone(&account.room), call: account.call.take() });
            }
        }
        woken
    }

    fn set_hungry(&mut self, slot: usize, wanted: usize) {
        let account = self.account(slot);
        let fresh = account.hungry.is_none();
        // Several threads of one consumer may wait: the smallest wish wakes them all, and each looks again.
        account.hungry = Some(account.hungry.map_or(wanted, |other| other.min(wanted)));
        self.hungry += usize::from(fresh);
    }

    pub(super) fn holdings(&self) -> Vec<Holding> {
        let mut all: Vec<Holding> = self
            .accounts
            .iter()
            .flatten()
            .map(|a| Holding { name: a.name.clone(), used: a.used, minimum: a.minimum })
            .collect();
        all.sort_by_key(|holding| std::cmp::Reverse(holding.used));
        all
    }
}

impl Pool {
    pub(super) fn new(limit: usize) -> Self {
        Pool { limit, charged: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// Opens an account; its slot, and a number that no other account of the pool has or had.
    pub(super) fn open(&self, name: &str, minimum: usize) -> Result<(usize, u64), OverBudget> {
        let account = Account {
            name: name.to_owned(),
            minimum,
            used: 0,
            peak: 0,
            reclaim: None,
            hungry: None,
            room: Arc::new(Event::new()),
            call: None,
        };
        let mut state = lock(&self.state);
        if minimum > 0 && state.promised.saturating_add(minimum) > self.limit {
            drop(state);
            return Err(self.refusal(minimum));
        }
        let id = state.next_id;
        state.next_id += 1;
        state.promised += minimum;
        state.charged += minimum;
        self.publish(&state);
        let slot = state.accounts.iter().position(Option::is_none).unwrap_or_else(|| {
            state.accounts.push(None);
            state.accounts.len() - 1
        });
        state.accounts[slot] = Some(account);
        Ok((slot, id))
    }

    /// Closes the account; what it still held is given back.
    pub(super) fn close(&self, slot: usize) {
        let mut state = lock(&self.state);
        let gone = state.accounts[slot].take();
        if let Some(account) = &gone {
            state.charged -= account.used.max(account.minimum);
            state.used -= account.used;
            state.promised -= account.minimum;
            state.hungry -= usize::from(account.hungry.is_some());
        }
        let woken = state.fed(self.limit);
        self.publish(&state);
        drop(state);
        woken.into_iter().for_each(Fed::wake);
    }

    /// Takes or refuses `bytes` for the account; see [`Refused`] for what then happens.
    pub(super) fn charge(&self, slot: usize, bytes: usize, refused: Refused) -> bool {
        let mut state = lock(&self.state);
        let granted = state.charge(self.limit, slot, bytes, refused == Refused::Overdraw);
        if granted {
            self.publish(&state);
        } else if refused == Refused::Hunger {
            state.set_hungry(slot, bytes);
        }
        granted
    }

    /// Gives `bytes` of the account back, and wakes whom that lets in.
    pub(super) fn refund(&self, slot: usize, bytes: usize) {
        let mut state = lock(&self.state);
        let woken = state.refund(self.limit, slot, bytes);
        self.publish(&state);
        drop(state);
        woken.into_iter().for_each(Fed::wake);
    }

    /// Whether `bytes` could ever fit: the limit less what is set aside for others.
    pub(super) fn could_fit(&self, slot: usize, bytes: usize) -> bool {
        let mut state = lock(&self.state);
        let others = state.promised - state.account(slot).minimum;
        bytes.saturating_add(others) <= self.limit
    }

    /// Whether `bytes` fit now. If not, `call` is called when they do, once, instead of an earlier one.
    pub(super) fn fits_or_call(&self, slot: usize, bytes: usize, call: Box<dyn FnOnce() + Send>) -> bool {
        let mut state = lock(&self.state);
        if state.charged_with(self.limit, slot, bytes).is_some_and(|(_, _, fits)| fits) {
            return true;
        }
        state.set_hungry(slot, bytes);
        let replaced = state.account(slot).call.replace(call);
        drop(state);
        drop(replaced);
        false
    }

    /// Whether the pool is within its limit. If not, the account's waiters are woken when it is.
    pub(super) fn solvent_or_hunger(&self, slot: usize) -> bool {
        let mut state = lock(&self.state);
        let solvent = state.charged <= self.limit;
        if !solvent {
            state.set_hungry(slot, 0);
        }
        solvent
    }

    /// Bytes charged, minimums included; perhaps of a moment ago.
    pub(super) fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    fn publish(&self, state: &State) {
        self.charged.store(state.charged, Ordering::Relaxed);
    }

    pub(super) fn refusal(&self, requested: usize) -> OverBudget {
        let state = lock(&self.state);
        let mut largest = state.holdings();
        largest.truncate(3);
        OverBudget { requested, limit: self.limit, used: state.used, largest }
    }

    /// Asks the largest consumer that can spill to make room for `bytes`.
    pub(super) fn ask(&self, bytes: usize) {
        let state = lock(&self.state);
        let above = state.accounts.iter().flatten().filter(|a| a.used > a.minimum);
        let mut able: Vec<(usize, Weak<dyn Reclaim>)> =
            above.filter_map(|a| Some((a.used, Weak::clone(a.reclaim.as_ref()?)))).collect();
        drop(state);
        able.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        // Upgraded without the lock: the handle may turn out to be the last, and what it then drops gives leases back.
        if let Some(victim) = able.iter().find_map(|(_, consumer)| consumer.upgrade()) {
            victim.reclaim(bytes);
        }
    }
}
