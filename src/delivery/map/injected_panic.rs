//! Lets the mapping panic at chosen records, as a defect would; for tests.

use crate::envelope::RecordIndex;
use crate::ledger::Category;
use std::cell::RefCell;

thread_local! {
    /// The items whose mapping panics.
    pub static ITEMS: RefCell<Vec<(Category, RecordIndex)>> = const { RefCell::new(Vec::new()) };
}

/// Panics if the item is one of [`ITEMS`].
pub fn check(category: Category, record: RecordIndex) {
    ITEMS.with_borrow(|items| assert!(!items.contains(&(category, record)), "panic in record {}", record.0));
}
