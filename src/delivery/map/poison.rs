//! Records at which a test has the mapping panic, as a defect would.

use crate::ledger::Category;
use std::cell::RefCell;

thread_local! {
    pub static AT: RefCell<Vec<(Category, u32)>> = const { RefCell::new(Vec::new()) };
}

pub fn take(category: Category, record: u32) {
    AT.with_borrow(|at| assert!(!at.contains(&(category, record)), "poison in record {record}"));
}
