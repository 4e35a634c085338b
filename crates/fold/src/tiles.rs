//! Tiles: partial results by index of time, ascending; the newest lies inline, where nearly every
//! event of an ordered log goes.

/// How a window is cut into tiles. Tile `i` holds `(i · hop, (i + 1) · hop]`, closed at its end as the
/// window is, so that a window `(floor_hop(t) − window + hop … t]` is a whole number of tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Length of a tile in microseconds; `None`: one tile for all time.
    pub(crate) hop_us: Option<i64>,
    /// `window / hop`.
    pub(crate) hops: i64,
}

impl Tiling {
    pub(crate) fn of(window: definitions::Window) -> Self {
        match window {
            definitions::Window::Lifetime => Self { hop_us: None, hops: 1 },
            definitions::Window::Sliding { window_us, hop_us } => {
                let hop_us = hop_us.max(1);
                Self { hop_us: Some(hop_us), hops: (window_us / hop_us).max(1) }
            }
        }
    }

    /// The tile that `at` lies in.
    pub(crate) fn tile(&self, at: i64) -> i64 {
        let Some(hop) = self.hop_us else { return 0 };
        let (floor, rest) = (at.div_euclid(hop), at.rem_euclid(hop));
        if rest == 0 { floor.saturating_sub(1) } else { floor }
    }

    /// The oldest tile that a window of `hops` sees at `t`.
    pub(crate) fn oldest_visible(&self, t: i64, hops: i64) -> i64 {
        let Some(hop) = self.hop_us else { return i64::MIN };
        t.div_euclid(hop).saturating_sub(hops).saturating_add(1)
    }

    /// The oldest tile that any read at `greatest` or later sees.
    pub(crate) fn oldest_kept(&self, greatest: i64) -> i64 {
        self.oldest_visible(greatest, self.hops)
    }
}

/// Remembers the last tile: rows come in about the order of time, and a division by a variable costs
/// more than all else that a row does to a counter.
#[derive(Debug)]
pub(crate) struct TileCursor {
    tiling: Tiling,
    after: i64,
    until: i64,
    tile: i64,
}

impl TileCursor {
    pub(crate) fn new(tiling: Tiling) -> Self {
        match tiling.hop_us {
            Some(_) => Self { tiling, after: 0, until: 0, tile: 0 },
            None => Self { tiling, after: i64::MIN, until: i64::MAX, tile: 0 },
        }
    }

    pub(crate) fn tile(&mut self, at: i64) -> i64 {
        if at > self.after && at <= self.until {
            return self.tile;
        }
        self.tile = self.tiling.tile(at);
        if let Some(hop) = self.tiling.hop_us {
            // At the ends of the type the bounds are not the tile's; then nothing is remembered.
            self.after = self.tile.checked_mul(hop).unwrap_or(i64::MAX);
            self.until = self.after.checked_add(hop).unwrap_or(i64::MIN);
        }
        self.tile
    }
}

/// Tiles ascending by index. Small, as a key has a handful of these and keys come at random.
#[derive(Debug, Clone)]
pub(crate) struct Tiles<T> {
    /// Index of the newest tile; [`NONE`]: there is no tile at all.
    index: i64,
    newest: T,
    older: Option<Box<Older<T>>>,
}

/// Tiles before the newest, ascending. They may be out of sight.
#[derive(Debug, Clone)]
struct Older<T>(Vec<(i64, T)>);

/// The index of no tile: an index is a time divided by a length, and where the length is 1 the time before.
const NONE: i64 = i64::MAX;

impl<T: Default> Default for Tiles<T> {
    fn default() -> Self {
        Self { index: NONE, newest: T::default(), older: None }
    }
}

impl<T: Default> Tiles<T> {
    /// From tiles ascending by index.
    pub(crate) fn from_ascending(mut tiles: Vec<(i64, T)>) -> Self {
        let Some((index, newest)) = tiles.pop() else { return Self::default() };
        let older = (!tiles.is_empty()).then(|| Box::new(Older(tiles)));
        Self { index, newest, older }
    }

    /// The tile `index`, made if it is absent; `None` if it lies `hops` or more before the newest, where no
    /// read can see it any more.
    #[inline]
    pub(crate) fn entry(&mut self, index: i64, hops: i64) -> Option<&mut T> {
        if self.index == index {
            return Some(&mut self.newest);
        }
        self.entry_elsewhere(index, hops)
    }

    fn entry_elsewhere(&mut self, index: i64, hops: i64) -> Option<&mut T> {
        if self.index == NONE {
            self.index = index;
            return Some(&mut self.newest);
        }
        if index > self.index {
            let previous = std::mem::take(&mut self.newest);
            let previous_index = std::mem::replace(&mut self.index, index);
            let kept = index.saturating_sub(hops);
            // Where the previous one is out of sight, so is all before it: no look into memory elsewhere.
            if previous_index > kept {
                let older = self.older.get_or_insert_default();
                older.make_room(kept);
                older.0.push((previous_index, previous));
            }
            return Some(&mut self.newest);
        }
        let kept = self.index.saturating_sub(hops);
        if index <= kept {
            return None;
        }
        let older = self.older.get_or_insert_default();
        older.make_room(kept);
        let place = match older.0.binary_search_by_key(&index, |tile| tile.0) {
            Ok(place) => place,
            Err(place) => {
                older.0.insert(place, (index, T::default()));
                place
            }
        };
        Some(&mut older.0[place].1)
    }
}

impl<T> Older<T> {
    /// Drops what lies at `kept` or before, out of sight, where one more would need more memory. Not
    /// earlier: that would be a look into memory elsewhere for nothing.
    fn make_room(&mut self, kept: i64) {
        if self.0.len() == self.0.capacity() {
            let gone = self.0.partition_point(|tile| tile.0 <= kept);
            self.0.drain(..gone);
        }
    }
}

impl<T> Default for Older<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Tiles<T> {
    pub(crate) fn newest(&self) -> Option<&T> {
        (self.index != NONE).then_some(&self.newest)
    }

    /// Tiles from `oldest` on, ascending.
    pub(crate) fn since(&self, oldest: i64) -> impl DoubleEndedIterator<Item = (i64, &T)> {
        let older = self.older.as_ref().map_or(&[][..], |older| &older.0);
        let first = older.partition_point(|tile| tile.0 < oldest);
        let newest = self.newest().filter(|_| self.index >= oldest);
        older[first..]
            .iter()
            .map(|tile| (tile.0, &tile.1))
            .chain(newest.map(|newest| (self.index, newest)))
    }

    /// Bytes outside the value itself, without what `T` holds elsewhere.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.older
            .as_ref()
            .map_or(0, |older| size_of::<Older<T>>() + older.0.capacity() * size_of::<(i64, T)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_closed_at_its_end() {
        let tiling = Tiling { hop_us: Some(10), hops: 3 };
        assert_eq!([0, 1, 10, 11, -9, -10].map(|at| tiling.tile(at)), [-1, 0, 0, 1, -1, -2]);
        assert_eq!(tiling.oldest_visible(30, 3), 1, "(10 … 30]");
        assert_eq!(tiling.oldest_visible(39, 3), 1, "(10 … 39]");
        assert_eq!(tiling.oldest_visible(40, 3), 2, "(20 … 40]");
    }

    #[test]
    fn a_cursor_agrees_with_the_tiling_everywhere() {
        for hop_us in [1, 7, 60_000_000, i64::MAX] {
            let tiling = Tiling { hop_us: Some(hop_us), hops: 3 };
            let mut cursor = TileCursor::new(tiling);
            for at in
                [0, 1, 6, 7, 8, 14, 13, -1, -7, -8, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1]
            {
                assert_eq!(cursor.tile(at), tiling.tile(at), "hop {hop_us}, at {at}");
            }
        }
    }

    #[test]
    fn tiles_stay_ascending_and_drop_what_no_read_sees() {
        let mut tiles = Tiles::<u64>::default();
        for index in [5, 3, 4, 3, 7] {
            if let Some(count) = tiles.entry(index, 4) {
                *count += 1;
            }
        }
        assert!(tiles.entry(3, 4).is_none());
        let all: Vec<_> = tiles.since(i64::MIN).map(|(index, count)| (index, *count)).collect();
        assert_eq!(all[all.len() - 3..], [(4, 1), (5, 1), (7, 1)], "what is in sight is all there");
        for index in 8..1000 {
            assert!(tiles.entry(index, 4).is_some());
        }
        assert!(tiles.heap_bytes() <= 16 * 16 + 24, "the rest goes before memory grows");
    }

    #[test]
    fn gaps_and_late_rows_between_them_leave_nothing_behind() {
        for (hops, gap, late) in [(2, 3, 1), (7, 8, 6), (168, 200, 1), (3, 2, 1)] {
            let mut tiles = Tiles::<u64>::default();
            for newest in (0..2_000).map(|round| round * gap) {
                for index in (newest - late..=newest).rev() {
                    assert!(tiles.entry(index, hops).is_some());
                }
            }
            let most = 2 * usize::try_from(hops.min(gap)).expect("a few").max(4) * 16 + 24;
            assert!(tiles.heap_bytes() <= most, "{hops} {gap} {late}: {}", tiles.heap_bytes());
        }
    }
}
