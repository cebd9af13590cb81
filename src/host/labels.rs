//! The values of metric labels as C text.

use crate::delivery::DestinationState;
use crate::ledger::{Category, Outcome, Status};
use std::ffi::{CStr, CString};

/// Returns a name of the ledger or of delivery as C text. The names are few and constant.
pub(super) fn c_name(name: &'static str) -> &'static CStr {
    use once_cell::sync::Lazy;
    static NAMES: Lazy<Vec<(&'static str, CString)>> = Lazy::new(|| {
        let categories = Category::ALL.iter().map(|category| category.name());
        let outcomes = Outcome::ALL.iter().map(|outcome| outcome.name());
        let statuses = Status::ALL.iter().map(|status| status.name());
        let names = categories.chain(outcomes).chain(statuses).chain(DestinationState::ALL.map(DestinationState::name));
        names.filter_map(|name| Some((name, CString::new(name).ok()?))).collect()
    });
    NAMES.iter().find(|(known, _)| *known == name).map_or(c"", |(_, text)| text.as_c_str())
}
