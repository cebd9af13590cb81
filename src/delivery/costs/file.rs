//! Keeps the bytes spent of each budget in a file of the spool's directory (`docs/formats.md`).
//!
//! The file is one JSON object and is always replaced as a whole: it is written under a temporary name, which a spool
//! removes at its start, and then renamed. It is not synced, so a power failure may undo the spending of the last seconds.

use super::account::{Account, Key, Stage};
use super::messages::{BudgetMessage, MessageKind};
use crate::clock::WallTime;
use crate::options::{Budget, Period};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// Name of the file.
pub(super) const NAME: &str = "logs-budget.json";

/// Version of the format. A file of another version is not read.
const VERSION: u64 = 1;

/// A larger file was not written by this plugin.
const MAX_BYTES: u64 = 16 << 20;

/// The contents of a file.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) accounts: Vec<Account>,
    /// Messages that Sentry had not accepted.
    pub(super) messages: Vec<BudgetMessage>,
}

/// Writes the file. An account of which nothing is spent or withheld is left out.
pub(super) fn write<'m>(
    path: &Path,
    accounts: &[Account],
    messages: impl Iterator<Item = &'m BudgetMessage>,
) -> io::Result<()> {
    let used = accounts.iter().filter(|account| account.marked > 0 || account.withheld > 0);
    let file = json!({
        "version": VERSION,
        "accounts": used.map(of_account).collect::<Vec<_>>(),
        "notices": messages.map(of_message).collect::<Vec<_>>(),
    });
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec(&file)?)?;
    fs::rename(&temporary, path)
}

/// Reads the file. A missing file has no accounts.
///
/// # Errors
/// Any error of the file system; [`io::ErrorKind::InvalidData`] if it is not a file of this version.
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
    let messages = file["notices"].as_array()?.iter().map(to_message).collect::<Option<_>>()?;
    Some(Stored { accounts, messages })
}

fn of_account(account: &Account) -> Value {
    let Account { budget, destination, window, withheld, .. } = *account;
    let mut object = of_window(&account.key, BudgetWindow { budget, destination, window, withheld });
    object.insert("spent".to_owned(), json!(account.marked));
    object.insert("stage".to_owned(), json!(account.stage as u8));
    object.insert("told".to_owned(), json!(account.is_reported));
    Value::Object(object)
}

fn of_message(message: &BudgetMessage) -> Value {
    let BudgetMessage { kind, budget, destination, window, withheld, .. } = *message;
    let mut object = of_window(&message.key, BudgetWindow { budget, destination, window, withheld });
    object.insert("ends".to_owned(), json!(kind == MessageKind::Ends));
    Value::Object(object)
}

/// The fields that accounts and messages have in common besides the key.
#[derive(Clone, Copy)]
struct BudgetWindow {
    budget: Budget,
    /// Identity of the destination.
    destination: u128,
    /// Number of the window since 1970.
    window: u64,
    /// Logs withheld in the window.
    withheld: u64,
}

fn of_window(key: &Key, BudgetWindow { budget, destination, window, withheld }: BudgetWindow) -> Map<String, Value> {
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

fn to_window(object: &Value) -> Option<(Key, BudgetWindow)> {
    let destination = u128::from_str_radix(object["destination"].as_str()?, 16).ok()?;
    let key = match (object["namespace"].as_str(), object["workload"].as_str()) {
        (None, None) => Key::Destination(destination),
        (Some(namespace), None) => Key::Namespace(namespace.to_owned()),
        (namespace, Some(workload)) => Key::Workload(namespace?.to_owned(), workload.to_owned()),
    };
    let budget = Budget::parse(object["budget"].as_str()?).ok()?;
    let window = object["window"].as_u64()? / Period::seconds(budget.period);
    let withheld = object["withheld"].as_u64()?;
    Some((key, BudgetWindow { budget, destination, window, withheld }))
}

fn to_account(object: &Value) -> Option<Account> {
    let (key, BudgetWindow { budget, destination, window, withheld }) = to_window(object)?;
    let accepted = object["spent"].as_u64()?;
    let stage = match object["stage"].as_u64()? {
        0 => Stage::Open,
        1 => Stage::Limited,
        2 => Stage::Closed,
        _ => return None,
    };
    let is_reported = object["told"].as_bool()?;
    let start = WallTime::from_secs(window * budget.period.seconds());
    let new = Account::new(key, budget, destination, start);
    Some(Account { accepted, marked: accepted, stage, withheld, is_reported, ..new })
}

fn to_message(object: &Value) -> Option<BudgetMessage> {
    let (key, BudgetWindow { budget, destination, window, withheld }) = to_window(object)?;
    let kind = if object["ends"].as_bool()? { MessageKind::Ends } else { MessageKind::Begins };
    Some(BudgetMessage { kind, key, budget, destination, window, withheld })
}
