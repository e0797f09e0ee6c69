//! Objects in memory, taken in parts as S3 takes them: for tests, and as the measure of the interface.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use engine::clock::Timestamp;
use futures_util::{StreamExt as _, future, stream};

use super::{Chunks, ObjectError, ObjectName, ObjectState, ObjectWriter, Objects};
use crate::Digest;
use crate::database::BoxFuture;
use crate::digest::Running;

/// The smallest part that S3 takes, except for the last one.
const PART_BYTES: usize = 5 * 1024 * 1024;
const READ_BYTES: usize = 512 * 1024;

/// Objects that end with the process.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects(Arc<Mutex<BTreeMap<ObjectName, Object>>>);

#[derive(Debug, Default)]
struct Object {
    /// By number from 0; a later upload of the same number replaces the earlier.
    parts: BTreeMap<usize, Bytes>,
    whole: Option<Bytes>,
}

impl MemoryObjects {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectName, Object>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a part and answers its receipt.
    fn put_part(&self, name: &ObjectName, number: usize, part: Bytes) -> String {
        let receipt = Digest::of(&part).to_string();
        let mut objects = self.objects();
        objects
            .entry(name.clone())
            .or_default()
            .parts
            .insert(number, part);
        receipt
    }

    /// Joins the parts of the list, each of which must be there as its receipt says.
    fn complete(&self, name: &ObjectName, receipts: &[String]) -> Result<(), ObjectError> {
        let mut objects = self.objects();
        let object = objects.entry(name.clone()).or_default();
        let mut whole = Vec::new();
        for (number, receipt) in receipts.iter().enumerate() {
            let part = object
                .parts
                .get(&number)
                .filter(|part| Digest::of(part).to_string() == *receipt)
                .ok_or_else(|| {
                    let error = io::Error::other(format!("part {number} is not what was listed"));
                    ObjectError::io(name, "sealed", error)
                })?;
            whole.extend_from_slice(part);
        }
        object.parts.clear();
        object.whole = Some(whole.into());
        Ok(())
    }
}

impl Objects for MemoryObjects {
    fn append(
        &self,
        state: ObjectState,
    ) -> BoxFuture<'_, Result<Box<dyn ObjectWriter>, ObjectError>> {
        let writer = MemoryWriter {
            store: self.clone(),
            state,
        };
        Box::pin(future::ready(Ok(Box::new(writer) as Box<dyn ObjectWriter>)))
    }

    fn seal<'a>(&'a self, state: &'a ObjectState) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(async move {
            let sealed = |object: &Object| object.whole.is_some();
            if self.objects().get(&state.name).is_some_and(sealed) {
                return Ok(());
            }
            let mut receipts = state.parts.clone();
            let last = Bytes::copy_from_slice(&state.tail);
            receipts.push(self.put_part(&state.name, receipts.len(), last));
            self.complete(&state.name, &receipts)
        })
    }

    fn size<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<Option<u64>, ObjectError>> {
        let objects = self.objects();
        let whole = objects.get(name).and_then(|object| object.whole.as_ref());
        let size = whole.map(|whole| whole.len() as u64);
        Box::pin(future::ready(Ok(size)))
    }

    fn read_range<'a>(
        &'a self,
        name: &'a ObjectName,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Chunks, ObjectError>> {
        Box::pin(async move {
            let whole = self
                .objects()
                .get(name)
                .and_then(|object| object.whole.clone())
                .ok_or_else(|| ObjectError::Missing { name: name.clone() })?;
            let bounds = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .filter(|(start, end)| start <= end && *end <= whole.len());
            let Some((start, end)) = bounds else {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(ObjectError::io(name, "read", error));
            };
            let mut left = whole.slice(start..end);
            let pieces = std::iter::from_fn(move || {
                let length = left.len().min(READ_BYTES);
                (length > 0).then(|| Ok(left.split_to(length)))
            });
            Ok(stream::iter(pieces).boxed())
        })
    }

    fn delete<'a>(&'a self, name: &'a ObjectName) -> BoxFuture<'a, Result<(), ObjectError>> {
        self.objects().remove(name);
        Box::pin(future::ready(Ok(())))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<ObjectName>, ObjectError>> {
        let objects = self.objects();
        let begins_so = |name: &&ObjectName| name.as_str().starts_with(prefix);
        let names = objects.keys().filter(begins_so).cloned().collect();
        Box::pin(future::ready(Ok(names)))
    }

    /// All of them are as old as time: what is in memory has no clock.
    fn list_with_age<'a>(
        &'a self,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(ObjectName, Timestamp)>, ObjectError>> {
        let objects = self.objects();
        let begins_so = |name: &&ObjectName| name.as_str().starts_with(prefix);
        let names = objects.keys().filter(begins_so).cloned();
        let ages = names.map(|name| (name, Timestamp::default())).collect();
        Box::pin(future::ready(Ok(ages)))
    }
}

struct MemoryWriter {
    store: MemoryObjects,
    state: ObjectState,
}

impl ObjectWriter for MemoryWriter {
    fn write<'a>(
        &'a mut self,
        bytes: Bytes,
        hash: &'a mut Running,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        hash.update(&bytes);
        self.state.size_bytes += bytes.len() as u64;
        self.state.tail.extend_from_slice(&bytes);
        while self.state.tail.len() >= PART_BYTES {
            let rest = self.state.tail.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.state.tail, rest);
            let number = self.state.parts.len();
            let receipt = self.store.put_part(&self.state.name, number, part.into());
            self.state.parts.push(receipt);
        }
        Box::pin(future::ready(Ok(())))
    }

    fn sync(self: Box<Self>) -> BoxFuture<'static, Result<ObjectState, ObjectError>> {
        self.store
            .objects()
            .entry(self.state.name.clone())
            .or_default();
        Box::pin(future::ready(Ok(self.state)))
    }
}
