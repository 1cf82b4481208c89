//! `Publisher`: makes shards durable, gives them their names, and then publishes the frames in them.
//!
//! The sink of the last stage. What it is given it does strictly in order: the shards of a row, then the row.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use crate::error::WriteError;
use crate::metadata;
use crate::progress::{Counters, add};
use crate::spec::ArraySpec;
use crate::store::{Shard, Store};

/// One thing to land.
#[derive(Debug, Default)]
pub(crate) enum Landing {
    /// A slot without a job.
    #[default]
    Nothing,
    /// All of it is written.
    Shard(Box<dyn Shard>),
    /// Every shard of the row has landed.
    Row(Row),
    /// Everything before is done.
    Flush { ticket: u64 },
}

/// A row whose shards have landed.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) number: u64,
    /// How many frames the array has with it.
    pub(crate) frames: u64,
    /// Keys of shards that were not stored, because there was nothing in them.
    pub(crate) absent: Vec<String>,
    /// Attributes of its frames, a line each.
    pub(crate) notes: Vec<u8>,
}

/// The array's attributes, which may be changed while it is written.
#[derive(Debug)]
pub(crate) struct Attributes {
    pub(crate) map: Map<String, Value>,
    /// They are not in the store yet.
    pub(crate) changed: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) spec: ArraySpec,
    pub(crate) attributes: Arc<Mutex<Attributes>>,
    pub(crate) counters: Arc<Counters>,
    /// How many frames readers see.
    pub(crate) frames: u64,
}

/// Where the attributes of a row's frames are.
pub(crate) fn notes_key(row: u64) -> String {
    format!("frames/{row}.ndjson")
}

impl Publisher {
    pub(crate) fn land(&mut self, landing: Landing) -> Result<(), WriteError> {
        match landing {
            Landing::Nothing => {}
            Landing::Shard(shard) => {
                shard.land()?;
                add(&self.counters.shards_landed, 1);
            }
            Landing::Row(row) => {
                // Left over from before, where an array was opened again.
                row.absent.iter().try_for_each(|key| self.store.remove(key))?;
                let key = notes_key(row.number);
                match row.notes.is_empty() {
                    // What an earlier writer noted of frames that were lost with it.
                    true => self.store.remove(&key)?,
                    false => self.store.put(&key, &row.notes)?,
                }
                self.publish(row.frames)?;
            }
            Landing::Flush { ticket } => {
                if self.attributes().changed {
                    self.publish(self.frames)?;
                }
                self.counters.flushed(ticket);
            }
        }
        Ok(())
    }

    /// Readers see `frames` frames, and the attributes as they are now.
    pub(crate) fn publish(&mut self, frames: u64) -> Result<(), WriteError> {
        let mut attributes = self.attributes();
        attributes.changed = false;
        let map = attributes.map.clone();
        drop(attributes);
        self.spec.attributes = map;
        self.store.put(metadata::KEY, &metadata::encode(&self.spec, frames))?;
        self.frames = frames;
        self.counters.landed(frames);
        Ok(())
    }

    fn attributes(&self) -> std::sync::MutexGuard<'_, Attributes> {
        self.attributes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
