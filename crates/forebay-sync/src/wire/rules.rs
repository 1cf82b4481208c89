//! Filter rules on the wire: section 5 of the protocol.

use std::io::Read;

use super::error::WireError;
use super::limits;
use super::number::{Get, Put};
use super::receiver::Stop;
use crate::error::Error;
use crate::filter::Filters;
use crate::options::Options;

/// Whether the client's rules go over the wire. Both sides must come to the same.
pub(crate) fn are_sent(options: &Options, server_sends: bool) -> bool {
    server_sends || options.select.prune_empty_dirs || options.delete
}

/// Adds what `-C` stands for behind all other rules: to those of a client, or of a server that sends. A server that receives is
/// told them. As with rsync, a client that receives protects from `--delete-excluded` what CVS ignores anywhere.
pub(crate) fn push_cvs(filters: &mut Filters, client_receives: bool) -> Result<(), Error> {
    filters.push_cvs()?;
    if client_receives && filters.delete_excluded {
        filters.push_rule(b"-Cr")?;
    }
    Ok(())
}

/// The rules of a client, for a server that sends or receives.
pub(crate) fn write(filters: &Filters, server_sends: bool, out: &mut Vec<u8>) {
    for rule in filters.for_the_other_side(server_sends) {
        // No rule is that long.
        out.put_int(rule.len() as i32);
        out.put(&rule);
    }
    out.put_int(0);
}

/// The rules of the other side.
///
/// # Errors
/// What is too long or makes no sense.
pub(crate) fn read(from: &mut impl Read, filters: &mut Filters) -> Result<(), Stop> {
    for _ in 0..limits::RULES {
        let len = from.int()?;
        if len == 0 {
            return Ok(());
        }
        let len = usize::try_from(len).map_err(|_| WireError::protocol("the length of a rule", len))?;
        let rule = from.exactly(len, limits::RULE, "the length of a rule")?;
        filters.push_rule(&rule).map_err(Error::from)?;
    }
    Err(WireError::protocol("too many rules", limits::RULES as i64).into())
}
