//! Keeps the bytes spent of each budget in a file of the spool's directory (`docs/formats.md`).
//!
//! The file is one JSON object and is always replaced as a whole: it is written under a temporary name, which a spool
//! removes at its start, and then renamed. It is not synced, so a power failure may undo the spending of the last seconds.

use super::account::{Account, Key, Stage};
use super::notice::{Kind, Notice};
use crate::clock::WallTime;
use crate::options::{Budget, Period};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// Its name.
pub(super) const NAME: &str = "logs-budget.json";

/// Of the format. A file of another version is not read.
const VERSION: u64 = 1;

/// A larger file was not written by this plugin.
const MAX_BYTES: u64 = 16 << 20;

/// The contents of a file.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) accounts: Vec<Account>,
    pub(super) notices: Vec<Notice>,
}

/// Writes the file. An account of which nothing is spent or withheld is left out.
pub(super) fn write<'n>(
    path: &Path,
    accounts: &[Account],
    notices: impl Iterator<Item = &'n Notice>,
) -> io::Result<()> {
    let used = accounts.iter().filter(|account| account.marked > 0 || account.withheld > 0);
    let file = json!({
        "version": VERSION,
        "accounts": used.map(of_account).collect::<Vec<_>>(),
        "notices": notices.map(of_notice).collect::<Vec<_>>(),
    });
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec(&file)?)?;
    fs::rename(&temporary, path)
}

/// Reads the file; one that is not there says nothing.
pub(super) fn read(path: &Path) -> io::Result<Stored> {
    let mut text = Vec::new();
    match fs::File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::default()),
        Err(error) => return Err(error),
    };
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "expected a file of this version"))
}

fn parse(text: &[u8]) -> Option<Stored> {
    let file: Value = serde_json::from_slice(text).ok()?;
    if file["version"].as_u64()? != VERSION {
        return None;
    }
    let accounts = file["accounts"].as_array()?.iter().map(to_account).collect::<Option<_>>()?;
    let notices = file["notices"].as_array()?.iter().map(to_notice).collect::<Option<_>>()?;
    Some(Stored { accounts, notices })
}

fn of_account(account: &Account) -> Value {
    let mut object = of_budget(&account.key, account.budget, account.destination, account.window, account.withheld);
    object.insert("spent".to_owned(), json!(account.marked));
    object.insert("stage".to_owned(), json!(account.stage as u8));
    object.insert("told".to_owned(), json!(account.told));
    Value::Object(object)
}

fn of_notice(notice: &Notice) -> Value {
    let mut object = of_budget(&notice.key, notice.budget, notice.destination, notice.window, notice.withheld);
    object.insert("ends".to_owned(), json!(notice.kind == Kind::Ends));
    Value::Object(object)
}

fn of_budget(key: &Key, budget: Budget, destination: u128, window: u64, withheld: u64) -> Map<String, Value> {
    let mut object = Map::new();
    let (namespace, workload) = match key {
        Key::Destination(_) => (None, None),
        Key::Namespace(namespace) => (Some(namespace), None),
        Key::Workload(namespace, workload) => (Some(namespace), Some(workload)),
    };
    object.insert("destination".to_owned(), json!(format!("{destination:032x}")));
    object.extend(namespace.map(|name| ("namespace".to_owned(), json!(name))));
    object.extend(workload.map(|name| ("workload".to_owned(), json!(name))));
    object.insert("budget".to_owned(), json!(budget.to_string()));
    object.insert("window".to_owned(), json!(window * budget.period.seconds()));
    object.insert("withheld".to_owned(), json!(withheld));
    object
}

/// Key, budget, destination, window and number of withheld logs.
type Common = (Key, Budget, u128, u64, u64);

fn to_budget(object: &Value) -> Option<Common> {
    let destination = u128::from_str_radix(object["destination"].as_str()?, 16).ok()?;
    let key = match (object["namespace"].as_str(), object["workload"].as_str()) {
        (None, None) => Key::Destination(destination),
        (Some(namespace), None) => Key::Namespace(namespace.to_owned()),
        (namespace, Some(workload)) => Key::Workload(namespace?.to_owned(), workload.to_owned()),
    };
    let budget = Budget::parse(object["budget"].as_str()?).ok()?;
    let window = object["window"].as_u64()? / Period::seconds(budget.period);
    Some((key, budget, destination, window, object["withheld"].as_u64()?))
}

fn to_account(object: &Value) -> Option<Account> {
    let (key, budget, destination, window, withheld) = to_budget(object)?;
    let accepted = object["spent"].as_u64()?;
    let stage = match object["stage"].as_u64()? {
        0 => Stage::Open,
        1 => Stage::Limited,
        2 => Stage::Closed,
        _ => return None,
    };
    let told = object["told"].as_bool()?;
    let start = WallTime::from_secs(window * budget.period.seconds());
    let new = Account::new(key, budget, destination, start);
    Some(Account { accepted, marked: accepted, stage, withheld, told, ..new })
}

fn to_notice(object: &Value) -> Option<Notice> {
    let (key, budget, destination, window, withheld) = to_budget(object)?;
    let kind = if object["ends"].as_bool()? { Kind::Ends } else { Kind::Begins };
    Some(Notice { kind, key, budget, destination, window, withheld })
}
