//! Canonical bytes of indexes: little-endian, length-prefixed, a BLAKE3 checksum at the end.

mod reader;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::reader::Reader;
use crate::Error;
use crate::index::{Adjacency, Catalogue, Indexes, Scored, SessionIndex};

const MAGIC: &[u8; 8] = b"twofidx\0";
const VERSION: u32 = 1;

pub(super) fn digest(indexes: &Indexes) -> [u8; 32] {
    *blake3::hash(&body(indexes)).as_bytes()
}

pub(super) fn encode(indexes: &Indexes) -> Vec<u8> {
    let mut bytes = body(indexes);
    bytes.extend_from_slice(&indexes.digest);
    bytes
}

fn body(indexes: &Indexes) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&indexes.cut_us.to_le_bytes());
    length(&mut out, indexes.positions.len());
    for ((topic, partition), next) in &indexes.positions {
        text(&mut out, topic);
        out.extend_from_slice(&partition.to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
    }
    length(&mut out, indexes.catalogue.len());
    indexes.catalogue.ids.iter().for_each(|id| text(&mut out, id));
    for adjacency in [&indexes.covisit, &indexes.sequential] {
        numbers(&mut out, &adjacency.bounds);
        scored(&mut out, &adjacency.entries);
    }
    let sessions = &indexes.sessions;
    length(&mut out, sessions.end_us.len());
    sessions.end_us.iter().for_each(|end| out.extend_from_slice(&end.to_le_bytes()));
    for column in [
        &sessions.bounds,
        &sessions.items,
        &sessions.posting_bounds,
        &sessions.postings,
        &sessions.support,
    ] {
        numbers(&mut out, column);
    }
    scored(&mut out, &indexes.trending);
    out
}

fn length(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn numbers(out: &mut Vec<u8>, numbers: &[u32]) {
    length(out, numbers.len());
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn scored(out: &mut Vec<u8>, entries: &[Scored]) {
    length(out, entries.len());
    for entry in entries {
        out.extend_from_slice(&entry.item.to_le_bytes());
        out.extend_from_slice(&entry.score.to_le_bytes());
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Indexes, Error> {
    let mut reader = Reader::new(bytes);
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(Error::Damaged { at: 0, what: "these are no indexes" });
    }
    let found = reader.u32()?;
    if found != VERSION {
        return Err(Error::Version { found, expected: VERSION });
    }
    let digest = reader.checked()?;
    let cut_us = reader.i64()?;
    let positions = positions(&mut reader)?;
    let catalogue = catalogue(&mut reader)?;
    let items = catalogue.len();
    let covisit = adjacency(&mut reader, items)?;
    let sequential = adjacency(&mut reader, items)?;
    let sessions = sessions(&mut reader, items)?;
    let trending = reader.scored(items)?;
    reader.end()?;
    Ok(Indexes {
        cut_us,
        digest,
        positions,
        catalogue: Arc::new(catalogue),
        covisit,
        sequential,
        sessions,
        trending,
    })
}

fn positions(reader: &mut Reader<'_>) -> Result<BTreeMap<(String, u32), u64>, Error> {
    let mut positions = BTreeMap::new();
    for _ in 0..reader.count(20)? {
        let topic = reader.text()?.to_owned();
        let partition = reader.u32()?;
        positions.insert((topic, partition), reader.u64()?);
    }
    Ok(positions)
}

fn catalogue(reader: &mut Reader<'_>) -> Result<Catalogue, Error> {
    let count = reader.count(8)?;
    let mut ids: Vec<Arc<str>> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.text()?;
        if ids.last().is_some_and(|last| &**last >= id) {
            return Err(reader.damaged("item ids do not ascend"));
        }
        ids.push(id.into());
    }
    Ok(Catalogue::new(ids))
}

fn adjacency(reader: &mut Reader<'_>, items: usize) -> Result<Adjacency, Error> {
    let bounds = reader.numbers(u32::MAX)?;
    let entries = reader.scored(items)?;
    reader.check_bounds(&bounds, items, entries.len())?;
    Ok(Adjacency { bounds, entries })
}

fn sessions(reader: &mut Reader<'_>, items: usize) -> Result<SessionIndex, Error> {
    let count = reader.count(8)?;
    let end_us = (0..count).map(|_| reader.i64()).collect::<Result<Vec<_>, _>>()?;
    let bounds = reader.numbers(u32::MAX)?;
    let index = SessionIndex {
        items: reader.numbers(items as u32)?,
        posting_bounds: reader.numbers(u32::MAX)?,
        postings: reader.numbers(count as u32)?,
        support: reader.numbers(u32::MAX)?,
        end_us,
        bounds,
    };
    reader.check_bounds(&index.bounds, count, index.items.len())?;
    reader.check_bounds(&index.posting_bounds, items, index.postings.len())?;
    if index.support.len() != items {
        return Err(reader.damaged("not one support per item"));
    }
    Ok(index)
}
