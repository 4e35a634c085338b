//! Rows of values by number, in chunks of memory: what grows by the million must not be copied to grow.

/// Rows of a chunk.
const ROWS: usize = 256;

/// Rows of `width` values each, numbered from 0. A row never moves, so growing copies nothing, and needs
/// neither room for a copy nor the time to clear its pages.
#[derive(Debug)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    width: usize,
    rows: usize,
}

/// Chunk of a row, and where the row begins there.
#[inline]
fn place(row: usize, width: usize) -> (usize, usize) {
    (row / ROWS, row % ROWS * width)
}

/// The value at `at` of a row in chunks as [`Chunks::as_mut`] gives them.
#[inline]
pub(crate) fn value_mut<T>(chunks: &mut [Vec<T>], width: usize, row: usize, at: usize) -> &mut T {
    let (chunk, first) = place(row, width);
    &mut chunks[chunk][first + at]
}

impl<T> Chunks<T> {
    pub(crate) fn new(width: usize) -> Self {
        Self { chunks: Vec::new(), width, rows: 0 }
    }

    /// Rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Sets a row, which is there or is the next one; `values` gives at least `width` values.
    pub(crate) fn put(&mut self, row: usize, values: impl Iterator<Item = T>) {
        if row < self.rows {
            self.row_mut(row).iter_mut().zip(values).for_each(|(old, value)| *old = value);
            return;
        }
        let (chunk, first) = place(row, self.width);
        if chunk == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(ROWS * self.width));
        }
        self.chunks[chunk].extend(values.take(self.width));
        assert!(self.chunks[chunk].len() == first + self.width, "the next row, and all of it");
        self.rows = row + 1;
    }

    #[inline]
    pub(crate) fn row(&self, row: usize) -> &[T] {
        let (chunk, first) = place(row, self.width);
        &self.chunks[chunk][first..first + self.width]
    }

    #[inline]
    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [T] {
        let (chunk, first) = place(row, self.width);
        &mut self.chunks[chunk][first..first + self.width]
    }

    /// A value of a row.
    #[inline]
    pub(crate) fn value(&self, row: usize, at: usize) -> &T {
        let (chunk, first) = place(row, self.width);
        &self.chunks[chunk][first + at]
    }

    /// The chunks, for [`value_mut`].
    pub(crate) fn as_mut(&mut self) -> &mut [Vec<T>] {
        &mut self.chunks
    }

    /// All rows' values, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_they_were_put() {
        for width in [1, 3] {
            let mut chunks = Chunks::new(width);
            for row in 0..2 * ROWS + 1 {
                chunks.put(row, (0..).map(|at| (row, at)));
            }
            let first: *const (usize, usize) = chunks.value(0, 0);
            chunks.put(2 * ROWS + 1, std::iter::repeat((7, 7)));
            assert!(std::ptr::eq(first, chunks.value(0, 0)), "no row moves");
            chunks.put(1, std::iter::repeat((9, 9)));
            assert_eq!(chunks.len(), 2 * ROWS + 2);
            assert_eq!(chunks.row(1), vec![(9, 9); width]);
            for row in [0, 2, ROWS - 1, ROWS, 2 * ROWS] {
                let all: Vec<_> = (0..width).map(|at| (row, at)).collect();
                assert_eq!(chunks.row(row), all);
                assert_eq!(chunks.row_mut(row), all);
                assert_eq!(value_mut(chunks.as_mut(), width, row, width - 1), &(row, width - 1));
            }
            assert_eq!(chunks.values().count(), width * chunks.len());
        }
    }

    #[test]
    #[should_panic(expected = "the next row")]
    fn a_row_cannot_be_left_out() {
        Chunks::new(2).put(1, std::iter::repeat(0));
    }
}
