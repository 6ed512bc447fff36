//! Questions beyond the contract's: rows of any number of minutes, filtered by any column and grouped by up to three.
//!
//! Names have codes in a chunk, so a question becomes tables by code, once for each chunk: which codes fit, and what a code adds
//! to the place of a row's group. Where groups are few enough the places are those of an array, otherwise of a hash table.
//! Each identity counts once, by the rule of the whole room.

use std::borrow::Borrow;
use std::sync::Arc;

use model::{Action, Device};

use crate::cells::{Cells, Key, MOST_NUMBERS};
use crate::cut::{Cut, MAX_GROUPED, Measures};
use crate::lexicon::Lexicon;
use crate::names::Names;
use crate::rule::Once;
use crate::scan::{DEVICE, Plan, Scan};
use crate::{Block, Chunk, Error};

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

/// The names of the codes of the device.
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
        chunks: &[impl Borrow<Chunk>],
        blocks: &[Block],
    ) -> Result<(), GroupingError> {
        if step != self.step {
            self.end_step()?;
            self.step = step;
        }
        let chunks = || chunks.iter().map(Borrow::borrow).filter(|chunk: &&Chunk| chunk.action() == action);
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
        let mut scan = Scan::new(chunk, &plan, self.cut.prices);
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
                Some(place) => condition.fitting(names(place)),
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
