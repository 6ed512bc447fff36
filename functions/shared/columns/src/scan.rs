//! A chunk's rows on their way to the groups of a question.

use std::ops::Range;

use crate::Chunk;
use crate::cells::Cells;
use crate::cut::Measures;
use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN};
use crate::keys::RUN;

/// The columns of names, and the device.
pub(crate) const COLUMNS: usize = NAME_COLUMNS + 1;
pub(crate) const DEVICE: usize = NAME_COLUMNS;

/// Every key.
const ALL: Range<u64> = 0..u64::MAX;

/// A question in the codes of one chunk or block: a table for each column, and none where nothing is asked of it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Whether a row with that code fits.
    pub(crate) fits: [Option<Vec<bool>>; COLUMNS],
    /// What a code adds to the place of the row's group.
    pub(crate) adds: [Option<Vec<u64>>; COLUMNS],
}

impl Plan {
    pub(crate) fn asks_nothing(&self) -> bool {
        self.fits.iter().all(Option::is_none) && self.adds.iter().all(Option::is_none)
    }

    fn asks(&self, column: usize) -> bool {
        self.fits[column].is_some() || self.adds[column].is_some()
    }
}

/// Rows that are looked at together.
#[derive(Debug)]
struct Run {
    codes: [[u32; RUN]; COLUMNS],
    prices: [i32; RUN],
    cells: [u64; RUN],
    fitting: [u8; RUN],
}

impl Default for Run {
    fn default() -> Self {
        Self { codes: [[0; RUN]; COLUMNS], prices: [0; RUN], cells: [0; RUN], fitting: [0; RUN] }
    }
}

/// A chunk's rows on their way to the groups.
pub(crate) struct Scan<'a> {
    chunk: &'a Chunk,
    plan: &'a Plan,
    prices: bool,
    run: Run,
    /// How many rows were looked at.
    pub(crate) rows: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(chunk: &'a Chunk, plan: &'a Plan, prices: bool) -> Self {
        Self { chunk, plan, prices, run: Run::default(), rows: 0 }
    }

    /// Adds all rows that fit; says whether every code had a name.
    pub(crate) fn fill(&mut self, cells: &mut Cells) -> bool {
        let chunk = self.chunk;
        let mut sound = true;
        if [ORIGIN, BRAND, CATEGORY].iter().any(|column| self.plan.asks(*column)) {
            let (brands, categories) = (chunk.divisor(BRAND), chunk.divisor(CATEGORY));
            for range in self.ranges() {
                chunk.keys.visit(&range, |row, keys| {
                    // The first and the last run may begin before the range or end behind it.
                    let first = keys.partition_point(|key| *key < range.start);
                    let keys = &keys[first..];
                    let keys = &keys[..keys.partition_point(|key| *key < range.end)];
                    for (place, key) in keys.iter().enumerate() {
                        let (above, category) = categories.divide(*key);
                        let (origin, brand) = brands.divide(above);
                        self.run.codes[ORIGIN][place] = origin as u32;
                        self.run.codes[BRAND][place] = brand as u32;
                        self.run.codes[CATEGORY][place] = category as u32;
                    }
                    sound &= self.take(row + first, keys.len(), cells);
                });
            }
        } else {
            for row in (0..chunk.rows).step_by(RUN) {
                sound &= self.take(row, RUN.min(chunk.rows - row), cells);
            }
        }
        sound
    }

    /// The keys of those origins and brands that fit: rows are sorted by them, so that the others need not be read.
    fn ranges(&self) -> Vec<Range<u64>> {
        let fits = &self.plan.fits;
        if fits[ORIGIN].is_none() && fits[BRAND].is_none() {
            return vec![ALL];
        }
        let names = |column: usize| self.chunk.names[column].len();
        let fitting = |column: usize| match &fits[column] {
            None => (0..names(column)).collect(),
            Some(fits) => {
                (0..).zip(fits).filter(|(_, fits)| **fits).map(|(code, _)| code).collect::<Vec<usize>>()
            }
        };
        let (origins, brands) = (fitting(ORIGIN), fitting(BRAND));
        // Each range is looked for, and reads a run or two.
        let by_brand = fits[BRAND].is_some() && origins.len() * brands.len() <= self.chunk.rows / RUN;
        if fits[ORIGIN].is_none() && !by_brand {
            return vec![ALL];
        }
        let keys_of_brand = names(CATEGORY) as u64;
        let keys_of_origin = names(BRAND) as u64 * keys_of_brand;
        let mut ranges: Vec<Range<u64>> = vec![];
        let mut add = |first: u64, keys: u64| match ranges.last_mut() {
            Some(last) if last.end == first => last.end += keys,
            _ => ranges.push(first..first + keys),
        };
        for origin in origins.iter().map(|origin| *origin as u64 * keys_of_origin) {
            if by_brand {
                brands.iter().for_each(|brand| add(origin + *brand as u64 * keys_of_brand, keys_of_brand));
            } else {
                add(origin, keys_of_origin);
            }
        }
        ranges
    }

    /// The rows of a run, whose key columns are there already.
    fn take(&mut self, row: usize, rows: usize, cells: &mut Cells) -> bool {
        if rows == 0 {
            return true;
        }
        self.rows += rows as u64;
        let (plan, chunk, run) = (self.plan, self.chunk, &mut self.run);
        if plan.asks(COUNTRY) {
            chunk.countries.read(row, &mut run.codes[COUNTRY][..rows], |code| code as u32);
        }
        if plan.asks(DEVICE) {
            chunk.devices.read(row, &mut run.codes[DEVICE][..rows], |code| code as u32);
        }
        if self.prices {
            chunk.prices.read(row, &mut run.prices[..rows], |price| price as i32);
        }
        run.cells[..rows].fill(0);
        let mut sound = true;
        for (codes, table) in run.codes.iter().zip(&plan.adds) {
            let Some(table) = table else { continue };
            for (cell, code) in run.cells[..rows].iter_mut().zip(codes) {
                match table.get(*code as usize) {
                    Some(add) => *cell += add,
                    None => sound = false,
                }
            }
        }
        let Some(fitting) = run.fitting(rows, &plan.fits) else { return false };
        if !sound {
            return false;
        }
        let run = &*run;
        if plan.adds.iter().all(Option::is_none) {
            let mut one = Measures::default();
            match fitting {
                None => run.prices[..rows].iter().for_each(|price| one.add_row(*price)),
                Some(count) => {
                    run.fitting[..count].iter().for_each(|row| one.add_row(run.prices[usize::from(*row)]));
                }
            }
            cells.at(0).join(&one);
            return true;
        }
        match fitting {
            None => run.cells[..rows]
                .iter()
                .zip(&run.prices)
                .for_each(|(cell, price)| cells.at(*cell).add_row(*price)),
            Some(count) => {
                for row in run.fitting[..count].iter().map(|row| usize::from(*row)) {
                    cells.at(run.cells[row]).add_row(run.prices[row]);
                }
            }
        }
        true
    }
}

impl Run {
    /// Notes which rows fit and says how many they are, or none where nothing is filtered; fails at a code without a name.
    fn fitting(&mut self, rows: usize, tables: &[Option<Vec<bool>>; COLUMNS]) -> Option<Option<usize>> {
        if tables.iter().all(Option::is_none) {
            return Some(None);
        }
        let mut fits = [true; RUN];
        let mut sound = true;
        for (codes, table) in self.codes.iter().zip(tables) {
            let Some(table) = table else { continue };
            for (fit, code) in fits[..rows].iter_mut().zip(codes) {
                match table.get(*code as usize) {
                    Some(fits) => *fit &= fits,
                    None => sound = false,
                }
            }
        }
        let mut count = 0;
        // Without a jump: which rows fit cannot be foretold.
        for (row, fit) in (0..).zip(&fits[..rows]) {
            self.fitting[count] = row;
            count += usize::from(*fit);
        }
        sound.then_some(Some(count))
    }
}
