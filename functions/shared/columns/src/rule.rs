//! The rule: over all chunks and blocks of a minute each identity counts once. Readers and the sealer both go by it.
//!
//! It holds whatever comes how often and in which order because a batch is applied whole: its rows of a minute are the same
//! in every block that has it, and rows of one own identity are the same everywhere.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{Action, OwnIdentity};

use crate::identities::Sequences;
use crate::{Block, Filter, Identities, Row, Totals};

/// What has counted its rows already: a chunk, decoded or not.
pub trait Counted {
    /// The action of all its rows.
    fn action(&self) -> Action;
    /// The rows that the filter takes.
    fn scan(&self, filter: &Filter) -> Totals;
    /// The identities that it counts.
    fn identities(&self) -> &Identities;
}

/// The rows of an action over a minute's chunks and blocks that a filter takes, each identity once. Chunks of the other
/// action are stepped over.
pub fn count<'a>(
    action: Action,
    chunks: &[&dyn Counted],
    blocks: impl IntoIterator<Item = &'a Block>,
    filter: &Filter,
) -> Totals {
    let chunks = || chunks.iter().filter(|chunk| chunk.action() == action);
    let mut totals: Totals = chunks().map(|chunk| chunk.scan(filter)).sum();
    let mut once = Once::new(action, chunks().map(|chunk| chunk.identities()));
    for block in blocks {
        // A block without one of the names is skipped whole: its batches have no row to count in any other block either.
        if let Some(wanted) = block.wanted(filter) {
            once.visit(block, |row| {
                if block.fits(&wanted, row) {
                    totals.add_row(block.price(row).into());
                }
            });
        }
    }
    totals
}

/// Calls `take` for each row of an action in blocks that no chunk has counted, each identity once. With the rows of the
/// chunks these are all rows of the minute.
pub fn for_each_once<'a>(
    action: Action,
    chunks: &[&dyn Counted],
    blocks: impl IntoIterator<Item = &'a Block>,
    mut take: impl FnMut(Row<'a>),
) {
    let chunks = chunks.iter().filter(|chunk| chunk.action() == action);
    let mut once = Once::new(action, chunks.map(|chunk| chunk.identities()));
    for block in blocks {
        once.visit(block, |row| take(block.row(row)));
    }
}

/// What was counted so far.
pub(crate) struct Once<'a> {
    action: Action,
    sources: HashMap<&'a str, Source<'a>>,
    sealed_owns: Vec<&'a Identities>,
    owns: HashSet<OwnIdentity>,
}

#[derive(Default)]
struct Source<'a> {
    sealed: Vec<&'a Sequences>,
    fresh: HashSet<u64>,
}

impl<'a> Once<'a> {
    /// Begins with what chunks have counted.
    pub(crate) fn new<'b: 'a>(action: Action, sealed: impl Iterator<Item = &'b Identities>) -> Self {
        let mut once = Self { action, sources: HashMap::new(), sealed_owns: vec![], owns: HashSet::new() };
        for identities in sealed {
            for (source, sequences) in &identities.batches {
                once.sources.entry(source).or_default().sealed.push(sequences);
            }
            if !identities.owns.is_empty() {
                once.sealed_owns.push(identities);
            }
        }
        once
    }

    /// Calls `take` for each row of the block that counts.
    pub(crate) fn visit<'b: 'a>(&mut self, block: &'b Block, mut take: impl FnMut(usize)) {
        for (name, batches) in block.batches() {
            let source = self.sources.entry(name).or_default();
            for batch in batches {
                let rows = batch.rows(self.action);
                let owns = block.owns(&rows);
                if rows.len() > owns.len() && source.is_new(batch.sequence) {
                    let mut owns = owns.iter().map(|own| own.0 as usize).peekable();
                    rows.filter(|row| owns.next_if_eq(row).is_none()).for_each(&mut take);
                }
                for (row, own) in owns {
                    if !self.sealed_owns.iter().any(|sealed| sealed.holds_own(own)) && self.owns.insert(*own)
                    {
                        take(*row as usize);
                    }
                }
            }
        }
    }

    /// What was counted since [`Self::new`].
    pub(crate) fn into_fresh(self) -> (BTreeMap<&'a str, Vec<u64>>, Vec<OwnIdentity>) {
        let fresh = |(name, source): (&'a str, Source<'a>)| (name, source.fresh.into_iter().collect());
        (self.sources.into_iter().map(fresh).collect(), self.owns.into_iter().collect())
    }
}

impl Source<'_> {
    fn is_new(&mut self, sequence: u64) -> bool {
        !self.sealed.iter().any(|sealed| sealed.holds(sequence)) && self.fresh.insert(sequence)
    }
}
