//! A clickstream with everything in it that a log has to bear, and the ledger of it: what was made, and
//! what must become of it.

use std::collections::VecDeque;
use std::fmt::Write as _;

use definitions::Reason;
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const START_US: i64 = 1_700_000_000_000_000;
const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
/// Nothing that is moved back by so much is late: the source allows ten minutes.
const DISORDER_US: i64 = 9 * MINUTE_US;
/// 2100: further than any clock is wrong.
const FUTURE_US: i64 = 4_102_444_800_000_000;
/// A scaled amount may not reach 2^53.
const HUGE_CENTS: i64 = 1 << 60;
/// Events before the first late one: each partition has a watermark by then.
const SETTLED: usize = 200;
/// Copies are made of so many events before.
const RECENT: usize = 32;
const KINDS: [&str; 4] = ["view", "view", "cart", "purchase"];

/// Why an event was made the way it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// To be applied.
    New,
    /// To be applied, though others that happened after it came before.
    OutOfOrder,
    /// To be judged a duplicate.
    Copy,
    /// To be judged late.
    Late,
    /// To be a dead letter of every lane.
    Poison(Reason),
    /// To be a dead letter of the lane by items only, for it names none.
    NoItem,
    /// To be a dead letter of the lane by visitors only, whose sum it is too large for.
    Huge,
}

/// One record as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) fate: Fate,
    pub(super) id: String,
    pub(super) at_us: i64,
    pub(super) visitor: String,
    pub(super) item: String,
    pub(super) kind: &'static str,
    pub(super) category: Option<String>,
    pub(super) price_cents: i64,
    pub(super) quantity: Option<i64>,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl Sent {
    /// An ordinary view.
    pub(super) fn view(id: String, at_us: i64, visitor: String, item: String) -> Self {
        let mut sent = Self {
            fate: Fate::New,
            id,
            at_us,
            visitor,
            item,
            kind: "view",
            category: Some("c1".to_owned()),
            price_cents: 100,
            quantity: None,
            key: Vec::new(),
            value: Vec::new(),
        };
        sent.seal();
        sent
    }

    /// Why it is a dead letter of the lane by visitors or by items.
    pub(super) fn rejected(&self, by_item: bool) -> Option<Reason> {
        match self.fate {
            // The clocks say so: the oracle has to find out by itself.
            Fate::Poison(Reason::Future) => None,
            Fate::Poison(reason) => Some(reason),
            Fate::NoItem => by_item.then_some(Reason::MissingKey),
            Fate::Huge => (!by_item).then_some(Reason::OutOfRange),
            _ => None,
        }
    }

    /// Writes key and value.
    fn seal(&mut self) {
        self.key = self.visitor.clone().into_bytes();
        let mut text = format!(
            r#"{{"event_id":"{}","event_time":{},"visitor_id":"{}","kind":"{}","item_id":"{}","price_cents":{}"#,
            self.id, self.at_us, self.visitor, self.kind, self.item, self.price_cents
        );
        if let Some(category) = &self.category {
            write!(text, r#","category":"{category}""#).unwrap();
        }
        if let Some(quantity) = self.quantity {
            write!(text, r#","quantity":{quantity}"#).unwrap();
        }
        text.push('}');
        self.value = text.into_bytes();
    }

    /// Makes it what no decoder takes; the value stays unlike any other.
    fn poison(&mut self, reason: Reason) {
        self.fate = Fate::Poison(reason);
        match reason {
            Reason::Malformed if self.at_us % 2 == 0 => {
                self.value.pop();
            }
            Reason::Malformed => self.value.insert(2, 0xff),
            Reason::MissingColumn => self.replace(r#""kind""#, r#""sort""#),
            Reason::WrongType => self.replace(r#","price_cents":"#, r#","price_cents":"a","was":"#),
            Reason::MissingKey => self.replace(r#""event_id":""#, r#""event_id":"","was":""#),
            Reason::Misrouted => self.key.push(b'~'),
            other => unreachable!("{other:?} is made otherwise"),
        }
    }

    fn replace(&mut self, was: &str, now: &str) {
        let text = String::from_utf8(std::mem::take(&mut self.value)).unwrap();
        assert!(text.contains(was), "{text}");
        self.value = text.replacen(was, now, 1).into_bytes();
    }
}

/// The generator, with all that it has made.
pub(super) struct Events {
    random: ChaCha8Rng,
    at_us: i64,
    step_us_max: i64,
    visitors: u32,
    items: u32,
    recent: VecDeque<usize>,
    pub(super) sent: Vec<Sent>,
}

impl Events {
    /// Events that lie `span_us / count` apart on the average. Less than 20 hours altogether: then each
    /// of them is in some window that still counts it at the end.
    pub(super) fn new(seed: u64, count: usize) -> Self {
        const SPAN_US: i64 = 20 * 60 * MINUTE_US;
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            at_us: START_US,
            step_us_max: 2 * SPAN_US / count as i64,
            visitors: (count as u32 / 100).max(50),
            items: 200,
            recent: VecDeque::new(),
            sent: Vec::new(),
        }
    }

    /// A ledger of events that others made.
    pub(super) fn of(sent: Vec<Sent>) -> Self {
        Self { sent, ..Self::new(0, 1) }
    }

    /// Makes `count` more: 5 % copies, 20 % out of order, 2 % late, 1 % poison.
    pub(super) fn make(&mut self, count: usize) -> &[Sent] {
        let from = self.sent.len();
        for _ in 0..count {
            let sent = self.next();
            if matches!(sent.fate, Fate::New | Fate::OutOfOrder) {
                self.recent.push_back(self.sent.len());
            }
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            self.sent.push(sent);
        }
        &self.sent[from..]
    }

    /// How many were made with this fate.
    pub(super) fn count(&self, fates: impl Fn(Fate) -> bool) -> u64 {
        self.sent.iter().filter(|sent| fates(sent.fate)).count() as u64
    }

    /// A time after all of them.
    pub(super) fn end_us(&self) -> i64 {
        let ordinary = |sent: &&Sent| sent.fate != Fate::Poison(Reason::Future);
        self.sent.iter().filter(ordinary).map(|sent| sent.at_us).max().unwrap_or(START_US)
    }

    fn next(&mut self) -> Sent {
        self.at_us += self.random.random_range(1..self.step_us_max);
        let (n, random) = (self.sent.len(), &mut self.random);
        let draw = random.random_range(0..1000);
        if draw < 50
            && let Some(copied) = self.copied()
        {
            return copied;
        }
        let random = &mut self.random;
        let mut sent = Sent {
            fate: Fate::New,
            id: if n % 3 == 0 {
                format!("event number {n} of the stream")
            } else {
                format!("e{n}")
            },
            at_us: self.at_us,
            visitor: format!("visitor-{}", random.random_range(0..self.visitors)),
            item: format!("item-{}", random.random_range(0..self.items)),
            kind: KINDS[random.random_range(0..KINDS.len())],
            category: random.random_bool(0.9).then(|| format!("c{}", n % 70)),
            price_cents: random.random_range(1..20_000),
            quantity: random.random_bool(0.5).then(|| random.random_range(1..5)),
            key: Vec::new(),
            value: Vec::new(),
        };
        match draw {
            50..250 => {
                sent.fate = Fate::OutOfOrder;
                sent.at_us -= random.random_range(1..DISORDER_US);
            }
            250..270 if n > SETTLED => {
                sent.fate = Fate::Late;
                sent.at_us -= DAY_US;
            }
            _ => {}
        }
        let poison = random.random_range(0..8);
        if (270..280).contains(&draw) && poison == 0 {
            sent.fate = Fate::Poison(Reason::Future);
            sent.at_us = FUTURE_US + n as i64;
        }
        if (270..280).contains(&draw) && poison == 1 {
            sent.fate = Fate::NoItem;
            sent.item.clear();
        }
        if (270..280).contains(&draw) && poison == 2 {
            sent.fate = Fate::Huge;
            (sent.kind, sent.price_cents, sent.quantity) = ("purchase", HUGE_CENTS, None);
        }
        sent.seal();
        if (270..280).contains(&draw) && poison > 2 {
            let reasons = [
                Reason::Malformed,
                Reason::MissingColumn,
                Reason::WrongType,
                Reason::MissingKey,
                Reason::Misrouted,
            ];
            sent.poison(reasons[poison - 3]);
        }
        sent
    }

    /// A copy of an event that is not so old that a copy would be late.
    fn copied(&mut self) -> Option<Sent> {
        let young = |n: &&usize| self.sent[**n].at_us > self.at_us - DISORDER_US;
        let young: Vec<usize> = self.recent.iter().filter(young).copied().collect();
        let n = *young.get(self.random.random_range(0..young.len().max(1)))?;
        Some(Sent { fate: Fate::Copy, ..self.sent[n].clone() })
    }
}
