//! Questions beyond the contract's: rows of any number of minutes, filtered by any column and grouped by up to three.
//!
//! Names have codes in a chunk, so a question becomes tables by code, once for each chunk: which codes fit, and what a code adds
//! to the place of a row's group. Where groups are few enough the places are those of an array, otherwise of a hash table.
//! Each identity counts once, by the rule of the whole room.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use model::{Action, Device};

use crate::cells::{Cells, Key, MOST_NUMBERS};
use crate::filter::{BRAND, CATEGORY, COUNTRY, NAME_COLUMNS, ORIGIN};
use crate::keys::RUN;
use crate::lexicon::Lexicon;
use crate::names::Names;
use crate::rule::Once;
use crate::{Block, Chunk, Error};

/// The most columns that a question may group by.
pub const MAX_GROUPED: usize = 3;

/// A column that a question filters or groups by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Column {
    /// What brought the shopper.
    Origin,
    /// The product's brand.
    Brand,
    /// The product's category.
    Category,
    /// Where the shopper is.
    Country,
    /// What the shopper uses, as the contract spells it.
    Device,
}

/// Which values of a column count. An empty name is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of which column.
    pub column: Column,
    /// These only, where there are some.
    pub one_of: Option<HashSet<String>>,
    /// And none of these.
    pub none_of: HashSet<String>,
}

/// Which rows count, and how they are grouped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// The columns whose values make a group, [`MAX_GROUPED`] at most.
    pub group_by: Vec<Column>,
    /// Whether anything but the number of rows is asked for.
    pub prices: bool,
}

/// What is known of a group's rows. Where [`Cut::prices`] is off, only the count is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    /// How many.
    pub count: u64,
    /// Their prices' sum.
    pub sum_price: i64,
    /// The lowest price; `i32::MAX` where there is no row.
    pub min_price: i32,
    /// The highest price; `i32::MIN` where there is no row.
    pub max_price: i32,
}

/// Groups are more than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupingError {
    /// A record cannot be read.
    #[error(transparent)]
    Columns(#[from] Error),
    /// More groups than were allowed.
    #[error("more than {0} groups")]
    TooManyGroups(usize),
    /// Their names are longer than there is room for.
    #[error("the names of the groups take more than {0} bytes")]
    TooLongNames(usize),
}

/// What a grouping may take.
#[derive(Debug, Clone, Copy)]
pub struct GroupingLimits {
    /// Pairs of a step and a group.
    pub groups: usize,
    /// Bytes of all names of the columns that are grouped by.
    pub name_bytes: usize,
}

/// Gathers the groups of any number of minutes. Several may gather parts of one question at once: see [`Groups::of`].
#[derive(Debug)]
pub struct Grouping {
    cut: Arc<Cut>,
    limits: GroupingLimits,
    lexicons: Vec<Lexicon>,
    step: u32,
    cells: Cells,
    done: Vec<(u32, Key, Measures)>,
    scanned_rows: u64,
}

/// All groups of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// For each column of [`Cut::group_by`] the names, ascending.
    pub names: Vec<Vec<Box<str>>>,
    /// Those that have a row, by step and then by names.
    pub groups: Vec<Group>,
    /// How many rows were looked at.
    pub scanned_rows: u64,
}

/// One group in one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The step that its rows were added under.
    pub step: u32,
    /// The places of its names in [`Groups::names`]; 0 behind the last column.
    pub places: [u32; MAX_GROUPED],
    /// What is known of its rows.
    pub measures: Measures,
}

impl Default for Measures {
    fn default() -> Self {
        Self { count: 0, sum_price: 0, min_price: i32::MAX, max_price: i32::MIN }
    }
}

impl Measures {
    /// Counts one row.
    #[inline]
    pub fn add_row(&mut self, price: i32) {
        self.count += 1;
        self.sum_price += i64::from(price);
        self.min_price = self.min_price.min(price);
        self.max_price = self.max_price.max(price);
    }

    /// Counts what another one has counted.
    pub fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_price += other.sum_price;
        self.min_price = self.min_price.min(other.min_price);
        self.max_price = self.max_price.max(other.max_price);
    }
}

impl Column {
    /// All.
    pub const ALL: [Self; 5] = [Self::Origin, Self::Brand, Self::Category, Self::Country, Self::Device];

    /// Its place among the columns of names; the device has none.
    fn place(self) -> Option<usize> {
        match self {
            Self::Origin => Some(ORIGIN),
            Self::Brand => Some(BRAND),
            Self::Category => Some(CATEGORY),
            Self::Country => Some(COUNTRY),
            Self::Device => None,
        }
    }
}

impl Condition {
    fn takes(&self, name: &str) -> bool {
        self.one_of.as_ref().is_none_or(|names| names.contains(name)) && !self.none_of.contains(name)
    }
}

/// A question in the codes of one chunk or block: a table for each column, and none where nothing is asked of it.
#[derive(Debug, Default)]
struct Plan {
    /// Whether a row with that code fits.
    fits: [Option<Vec<bool>>; COLUMNS],
    /// What a code adds to the place of the row's group.
    adds: [Option<Vec<u64>>; COLUMNS],
}

/// The columns of names, and the device.
const COLUMNS: usize = NAME_COLUMNS + 1;
const DEVICE: usize = NAME_COLUMNS;
const DEVICES: [&str; 3] = [Device::ALL[0].as_str(), Device::ALL[1].as_str(), Device::ALL[2].as_str()];

impl Grouping {
    /// Nothing yet.
    pub fn new(cut: Arc<Cut>, limits: GroupingLimits) -> Self {
        let lexicons = cut.group_by.iter().map(|_| Lexicon::default()).collect();
        Self { cut, limits, lexicons, step: 0, cells: Cells::default(), done: vec![], scanned_rows: 0 }
    }

    /// Adds the rows of an action of a minute to groups of this step. All of the minute's chunks and blocks must be given; chunks of
    /// the other action are stepped over. Steps may come in any order and again; cheapest is one after the other.
    pub fn add_minute(
        &mut self,
        step: u32,
        action: Action,
        chunks: &[Chunk],
        blocks: &[Block],
    ) -> Result<(), GroupingError> {
        if step != self.step {
            self.end_step()?;
            self.step = step;
        }
        let chunks = || chunks.iter().filter(|chunk| chunk.action() == action);
        for chunk in chunks() {
            self.add_chunk(chunk)?;
        }
        let mut once = Once::new(action, chunks().map(Chunk::identities));
        for block in blocks {
            self.add_block(block, &mut once)?;
        }
        self.check(self.done.len() + self.cells.at_least())
    }

    fn add_chunk(&mut self, chunk: &Chunk) -> Result<(), GroupingError> {
        let Some(plan) = self.plan(|column| &chunk.names[column])? else { return Ok(()) };
        if plan.asks_nothing() && !self.cut.prices {
            self.scanned_rows += chunk.rows as u64;
            self.cells.at(0).count += chunk.rows as u64;
            return Ok(());
        }
        let mut scan = Scan { chunk, plan: &plan, prices: self.cut.prices, run: Run::default(), rows: 0 };
        if !chunk.prices.is_within(i32::MIN.into(), i32::MAX.into()) || !scan.fill(&mut self.cells) {
            return Err(Error::Damaged("a code beyond the names, or a price").into());
        }
        self.scanned_rows += scan.rows;
        Ok(())
    }

    fn add_block<'a>(&mut self, block: &'a Block, once: &mut Once<'a>) -> Result<(), GroupingError> {
        // A block in which no row can fit is skipped whole: its batches have no row to count in any other block either.
        let Some(plan) = self.plan(|column| block.names(column))? else { return Ok(()) };
        let cells = &mut self.cells;
        let mut rows = 0;
        once.visit(block, |row| {
            rows += 1;
            let code = |column| match column {
                DEVICE => usize::from(block.device(row).code()),
                column => block.code(column, row),
            };
            let fits =
                |(column, table): (usize, &Option<Vec<bool>>)| table.as_ref().is_none_or(|t| t[code(column)]);
            if plan.fits.iter().enumerate().all(fits) {
                let add = |(column, table): (usize, &Option<Vec<u64>>)| {
                    table.as_ref().map_or(0, |t| t[code(column)])
                };
                cells.at(plan.adds.iter().enumerate().map(add).sum()).add_row(block.price(row));
            }
        });
        self.scanned_rows += rows;
        Ok(())
    }

    /// The question in the codes of these names; none where no row can fit.
    fn plan<'a>(&mut self, names: impl Fn(usize) -> &'a Names) -> Result<Option<Plan>, GroupingError> {
        let mut plan = Plan::default();
        for condition in &self.cut.conditions {
            let fits: Vec<bool> = match condition.column.place() {
                Some(place) => names(place).iter().map(|name| condition.takes(name)).collect(),
                None => DEVICES.iter().map(|name| condition.takes(name)).collect(),
            };
            if !fits.contains(&true) {
                return Ok(None);
            }
            let table = &mut plan.fits[condition.column.place().unwrap_or(DEVICE)];
            match table {
                _ if !fits.contains(&false) => {}
                Some(table) => table.iter_mut().zip(fits).for_each(|(both, fits)| *both &= fits),
                None => *table = Some(fits),
            }
        }
        for (column, lexicon) in self.cut.group_by.iter().zip(&mut self.lexicons) {
            match column.place() {
                Some(place) => lexicon.read(names(place)),
                None => lexicon.read_all(DEVICES.into_iter()),
            }
        }
        let bytes: usize = self.lexicons.iter().map(Lexicon::bytes).sum();
        if bytes > self.limits.name_bytes {
            return Err(GroupingError::TooLongNames(self.limits.name_bytes));
        }
        if self.lexicons.iter().any(|lexicon| lexicon.len() > MOST_NUMBERS) {
            return Err(GroupingError::TooManyGroups(self.limits.groups));
        }
        self.cells.fit(std::array::from_fn(|place| self.lexicons.get(place).map_or(1, Lexicon::len)));
        for (place, (column, lexicon)) in self.cut.group_by.iter().zip(&self.lexicons).enumerate() {
            let factor = self.cells.factor(place);
            let adds = lexicon.codes().iter().map(|&code| u64::from(code) * factor).collect();
            plan.adds[column.place().unwrap_or(DEVICE)] = Some(adds);
        }
        Ok(Some(plan))
    }

    fn end_step(&mut self) -> Result<(), GroupingError> {
        let step = self.step;
        self.cells.drain(|key, measures| self.done.push((step, key, measures)));
        self.check(self.done.len())
    }

    fn check(&self, groups: usize) -> Result<(), GroupingError> {
        if groups > self.limits.groups {
            return Err(GroupingError::TooManyGroups(self.limits.groups));
        }
        Ok(())
    }
}

impl Plan {
    fn asks_nothing(&self) -> bool {
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
struct Scan<'a> {
    chunk: &'a Chunk,
    plan: &'a Plan,
    prices: bool,
    run: Run,
    /// How many rows were looked at.
    rows: u64,
}

impl Scan<'_> {
    /// Adds all rows that fit; says whether every code had a name.
    fn fill(&mut self, cells: &mut Cells) -> bool {
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

    /// The keys of those origins that fit: rows are sorted by them, so that the others need not be read.
    fn ranges(&self) -> Vec<Range<u64>> {
        let all = 0..u64::MAX;
        let Some(fits) = &self.plan.fits[ORIGIN] else { return vec![all] };
        let names = |column: usize| self.chunk.names[column].len() as u64;
        let keys_of_origin = names(BRAND) * names(CATEGORY);
        let mut ranges: Vec<Range<u64>> = vec![];
        for (origin, _) in (0..).zip(fits).filter(|(_, fits)| **fits) {
            let keys = origin * keys_of_origin..(origin + 1) * keys_of_origin;
            match ranges.last_mut() {
                Some(last) if last.end == keys.start => last.end = keys.end,
                _ => ranges.push(keys),
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

impl Groups {
    /// The groups of several gatherings of one question together.
    pub fn of(groupings: Vec<Grouping>) -> Result<Self, GroupingError> {
        let limit = groupings.first().map_or(0, |grouping| grouping.limits.groups);
        let columns = groupings.first().map_or(0, |grouping| grouping.lexicons.len());
        let scanned_rows = groupings.iter().map(|grouping| grouping.scanned_rows).sum();
        let mut all = vec![];
        let mut names: Vec<Vec<Box<str>>> = vec![vec![]; columns];
        for (column, names) in names.iter_mut().enumerate() {
            for grouping in &groupings {
                names.extend(grouping.lexicons[column].names().map(Box::from));
            }
            names.sort_unstable();
            names.dedup();
        }
        for mut grouping in groupings {
            grouping.end_step()?;
            let places: Vec<Vec<u32>> =
                grouping.lexicons.iter().zip(&names).map(|(lexicon, names)| lexicon.places(names)).collect();
            all.extend(grouping.done.into_iter().map(|(step, key, measures)| {
                let place =
                    |column: usize| places.get(column).map_or(0, |places| places[key[column] as usize]);
                Group { step, places: std::array::from_fn(place), measures }
            }));
        }
        all.sort_unstable_by_key(|group| (group.step, group.places));
        let mut groups: Vec<Group> = Vec::with_capacity(all.len());
        for group in all {
            match groups.last_mut() {
                Some(last) if (last.step, last.places) == (group.step, group.places) => {
                    last.measures.join(&group.measures);
                }
                _ => groups.push(group),
            }
        }
        if groups.len() > limit {
            return Err(GroupingError::TooManyGroups(limit));
        }
        Ok(Self { names, groups, scanned_rows })
    }
}
