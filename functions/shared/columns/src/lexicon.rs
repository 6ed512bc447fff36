//! The names of a grouped column over all minutes of a question, numbered as they come.

use std::collections::HashMap;

use crate::names::Names;

/// Names, each once, and the numbers of those that were read last.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    bytes: usize,
    last: Names,
    codes: Vec<u32>,
}

impl Lexicon {
    /// Reads the names of a chunk or block. Most minutes have the same ones as the minute before.
    pub(crate) fn read(&mut self, names: &Names) {
        if self.last != *names || self.codes.len() != names.len() {
            self.read_all(names.iter());
            self.last = names.clone();
        }
    }

    /// Reads these names, which have the codes 0, 1, ...
    pub(crate) fn read_all<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.codes.clear();
        for name in names {
            let number = match self.numbers.get(name) {
                Some(number) => *number,
                None => self.add(name),
            };
            self.codes.push(number);
        }
    }

    /// The number of each code that was read last.
    pub(crate) fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// How long all names together are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The names by number.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Where each name stands among sorted names that hold all of them.
    pub(crate) fn places(&self, sorted: &[Box<str>]) -> Vec<u32> {
        let place = |name| sorted.binary_search(name).expect("all names are there") as u32;
        self.names.iter().map(place).collect()
    }

    fn add(&mut self, name: &str) -> u32 {
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        self.bytes += name.len();
        number
    }
}
