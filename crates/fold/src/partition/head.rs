use record::{EventTime, LogId, Offset};

use crate::{
    Error, Ledger,
    codec::{Reader, put_u64},
    state::{get_header, put_header},
};

/// What a lane's state in a partition covers: one per (lane, partition), committed with the states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log that `next` counts in.
    pub log: LogId,
    /// First record that is not covered.
    pub next: Offset,
    /// Greatest effective time seen, less the allowed lateness.
    pub watermark: EventTime,
    /// Records by verdict, since offset 0.
    pub ledger: Ledger,
}

impl Head {
    /// The head of a lane that has covered nothing of `log`.
    #[must_use]
    pub fn start(log: LogId) -> Self {
        Self { log, next: Offset(0), watermark: EventTime::MIN, ledger: Ledger::default() }
    }

    /// Canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_header(self.watermark, &mut out);
        out.extend_from_slice(&self.log.0);
        let Ledger { applied, duplicate, late, dead_lettered } = self.ledger;
        for number in [self.next.0, applied, duplicate, late, dead_lettered] {
            put_u64(&mut out, number);
        }
        out
    }

    /// Reads [`Head::encode`]'s bytes.
    ///
    /// # Errors
    /// Another version, or damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let watermark = get_header(&mut reader)?;
        let log = LogId(reader.array()?);
        let next = Offset(reader.u64()?);
        let [applied, duplicate, late, dead_lettered] =
            [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
        let read = [applied, duplicate, late, dead_lettered].map(u128::from).iter().sum::<u128>();
        reader.ensure(read <= u128::from(next.0), "more verdicts than records")?;
        reader.finish()?;
        let ledger = Ledger { applied, duplicate, late, dead_lettered };
        Ok(Self { log, next, watermark, ledger })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_head_round_trips_and_damage_is_an_error(
            log: [u8; 16], watermark: i64, numbers in [0u64..1 << 40, 0..1 << 40, 0..1 << 40, 0..1 << 40],
            torn in 0usize..16,
        ) {
            let [applied, duplicate, late, dead_lettered] = numbers;
            let ledger = Ledger { applied, duplicate, late, dead_lettered };
            let next = Offset(ledger.read() + 1);
            let head = Head { log: LogId(log), next, watermark: EventTime(watermark), ledger };
            let bytes = head.encode();
            prop_assert_eq!(Head::decode(&bytes), Ok(head));
            prop_assert!(Head::decode(&bytes[..bytes.len() - 1 - torn.min(bytes.len() - 1)]).is_err());
        }
    }
}
