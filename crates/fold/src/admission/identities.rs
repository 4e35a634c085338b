use std::collections::VecDeque;

use definitions::Reason;
pub use definitions::lane::IDENTITIES_MAX;
use record::EventTime;

use crate::{
    Error, Identity, Verdict,
    codec::{Reader, put_u64},
    prefetch::prefetch,
};

/// The part of admission that depends on one stream key: what was seen within the allowed lateness.
///
/// An identity is (event id, event time *as sent*). It is kept while its time is not older than the
/// key's greatest effective time less the lateness. A copy's effective time never exceeds the time as
/// sent, so a copy of a forgotten identity is late already.
///
/// One cache line, as keys come at random and nearly every look at one waits for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(align(64))]
pub struct Identities {
    greatest: EventTime,
    /// The greatest identity, here rather than in `older`: it answers for most records, without a
    /// look into memory elsewhere.
    newest: Option<Sent>,
    /// Ascending, all before `newest`, none older than the lateness.
    older: VecDeque<Sent>,
}

/// Event time as sent, and event id.
type Sent = (EventTime, Identity);

impl Default for Identities {
    fn default() -> Self {
        Self { greatest: EventTime::MIN, newest: None, older: VecDeque::new() }
    }
}

impl Identities {
    /// Greatest effective time among the key's admitted records; [`EventTime::MIN`] if there are none.
    #[must_use]
    pub fn greatest(&self) -> EventTime {
        self.greatest
    }

    /// Judges a record of this key that [`crate::Watermark::judge`] let pass with the effective time
    /// `effective`. Only [`Verdict::Applied`] changes anything.
    #[inline]
    pub fn judge(
        &mut self,
        identity: Identity,
        sent: EventTime,
        effective: EventTime,
        lateness_us: i64,
    ) -> Verdict {
        let greatest = self.greatest.max(effective);
        let oldest = floor(greatest, lateness_us);
        let entry = (sent, identity);
        match self.newest {
            // All that was kept is too old by now.
            Some(newest) if newest.0 < oldest => self.older.clear(),
            Some(newest) => return self.judge_among(newest, entry, greatest, oldest),
            None => {}
        }
        self.newest = Some(entry);
        self.greatest = greatest;
        Verdict::Applied
    }

    fn judge_among(
        &mut self,
        newest: Sent,
        entry: Sent,
        greatest: EventTime,
        oldest: EventTime,
    ) -> Verdict {
        if entry == newest {
            return Verdict::Duplicate;
        }
        let mut place = self.older.len();
        if entry < newest && self.older.back().is_some_and(|last| *last >= entry) {
            match self.older.binary_search(&entry) {
                Ok(_) => return Verdict::Duplicate,
                Err(found) => place = found,
            }
        }
        if self.older.len() + 1 >= IDENTITIES_MAX {
            let forgotten = self.older.partition_point(|seen| seen.0 < oldest);
            if self.older.len() + 1 - forgotten >= IDENTITIES_MAX {
                return Verdict::DeadLettered(Reason::KeyFlood);
            }
        }
        self.greatest = greatest;
        if entry > newest {
            self.older.push_back(newest);
            self.newest = Some(entry);
        } else {
            self.older.insert(place, entry);
        }
        while self.older.front().is_some_and(|seen| seen.0 < oldest) {
            self.older.pop_front();
        }
        Verdict::Applied
    }

    /// Asks for the memory elsewhere that [`Identities::judge`] looks at first.
    pub(crate) fn prefetch_elsewhere(&self) {
        self.older.back().into_iter().for_each(prefetch);
    }

    /// Bytes outside the value itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.older.capacity() * size_of::<(EventTime, Identity)>()
    }

    /// Appends the canonical bytes; the greatest time is written by the caller.
    pub(crate) fn encode(&self, lateness_us: i64, out: &mut Vec<u8>) {
        put_u64(out, (self.older.len() + usize::from(self.newest.is_some())) as u64);
        let mut previous = floor(self.greatest, lateness_us);
        for (sent, identity) in self.older.iter().chain(&self.newest) {
            put_u64(out, sent.0.wrapping_sub(previous.0) as u64);
            out.extend_from_slice(&identity.to_bytes());
            previous = *sent;
        }
    }

    pub(crate) fn decode(
        reader: &mut Reader<'_>,
        greatest: EventTime,
        lateness_us: i64,
    ) -> Result<Self, Error> {
        let count = reader.length(1 + Identity::BYTES)?;
        reader.ensure(count <= IDENTITIES_MAX, "more identities than a key may have")?;
        let mut live = VecDeque::with_capacity(count);
        let mut previous = floor(greatest, lateness_us);
        for _ in 0..count {
            let after = reader.u64()?;
            let sent = previous.0.checked_add_unsigned(after).map(EventTime);
            let sent = sent.ok_or_else(|| reader.damaged("a time beyond the range"))?;
            let entry = (sent, Identity::from_bytes(reader.array()?));
            reader
                .ensure(live.back().is_none_or(|last| *last < entry), "identities out of order")?;
            live.push_back(entry);
            previous = sent;
        }
        let newest = live.pop_back();
        Ok(Self { greatest, newest, older: live })
    }
}

fn floor(greatest: EventTime, lateness_us: i64) -> EventTime {
    EventTime(greatest.0.saturating_sub(lateness_us))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_cache_line() {
        assert_eq!(size_of::<Identities>(), 64);
    }

    fn judge(identities: &mut Identities, id: &str, at: i64) -> Verdict {
        identities.judge(Identity::of(id), EventTime(at), EventTime(at), 1_000)
    }

    #[test]
    fn the_first_one_wins_within_the_lateness() {
        let mut identities = Identities::default();
        assert_eq!(judge(&mut identities, "a", 100), Verdict::Applied);
        assert_eq!(judge(&mut identities, "a", 100), Verdict::Duplicate);
        assert_eq!(judge(&mut identities, "a", 101), Verdict::Applied, "another time as sent");
        assert_eq!(judge(&mut identities, "b", 50), Verdict::Applied);
        assert_eq!(judge(&mut identities, "b", 50), Verdict::Duplicate);
        assert_eq!(judge(&mut identities, "c", 1_101), Verdict::Applied);
        assert_eq!(identities.older.len(), 1, "what is older than the lateness is forgotten");
    }

    #[test]
    fn a_flood_is_refused_at_the_cap_and_changes_nothing() {
        let mut identities = Identities::default();
        for i in 0..IDENTITIES_MAX {
            assert_eq!(judge(&mut identities, &i.to_string(), 5), Verdict::Applied);
        }
        let before = identities.clone();
        let flood = Verdict::DeadLettered(Reason::KeyFlood);
        assert_eq!(judge(&mut identities, "one more", 5), flood);
        assert_eq!(judge(&mut identities, "7", 5), Verdict::Duplicate, "a copy is a copy");
        assert_eq!(identities, before);
        assert_eq!(judge(&mut identities, "later", 1_006), Verdict::Applied, "room again");
    }
}
