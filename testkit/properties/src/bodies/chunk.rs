//! Any bytes as a chunk: read to the end, and as a slow reader of the same rules reads them.

use out_sentry::chunk::msgpack::{Cursor, Run, Value};
use out_sentry::chunk::{self, Entry, Record, Timestamp, entries};
use rmp::Marker;
use rmpv::Value as Plain;

/// The twin is quadratic where bytes are corrupt.
const MAX_BYTES: usize = 8 << 10;

/// The twin recurses; deeper than this only the plugin goes.
const MAX_DEPTH: usize = 100;

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let found: Vec<Entry<'_>> = entries(data).collect();
    let counted = found.iter().filter(|entry| matches!(entry, Entry::Record(_) | Entry::Invalid(..))).count();
    assert_eq!(chunk::count(data) as usize, counted);
    for entry in &found {
        alone(entry);
    }
    if data.len() <= MAX_BYTES {
        compare(data, &found);
    }
}

/// A record reads the same by itself, and is stepped over as a whole.
fn alone(entry: &Entry<'_>) {
    let (Entry::Record(record) | Entry::GroupStart(record)) = entry else { return };
    // As text: a number that is none equals nothing, itself included.
    let read: Vec<_> = entries(record.raw).map(without_run).collect();
    assert_eq!(format!("{read:?}"), format!("{:?}", [without_run(*entry)]));
    let mut cursor = Cursor::new(record.raw);
    assert!(cursor.read().is_ok() && cursor.rest().is_empty());
}

/// Returns the entry without the run that was met before it.
fn without_run(entry: Entry<'_>) -> Entry<'_> {
    match entry {
        Entry::Record(record) => Entry::Record(Record { run: Run::default(), ..record }),
        Entry::GroupStart(record) => Entry::GroupStart(Record { run: Run::default(), ..record }),
        other => other,
    }
}

/// The reference's reading of the bytes at some place.
enum Step {
    Record(Plain, Vec<(Plain, Plain)>, Plain, Form),
    Broken,
    TooDeep,
}

/// Meaning of a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    At(Timestamp),
    Start,
    End,
}

fn compare(data: &[u8], found: &[Entry<'_>]) {
    let mut rest = data;
    for entry in found {
        let (step, length) = step(rest);
        let taken = match (entry, step) {
            (_, Step::TooDeep) => return,
            (Entry::GroupEnd, Step::Record(.., Form::End)) => length,
            (Entry::Record(record), Step::Record(_, metadata, body, Form::At(time))) => {
                assert_eq!(record.time, time);
                same_record(record, &metadata, &body, &rest[..length]);
                length
            }
            (Entry::GroupStart(record), Step::Record(_, metadata, body, Form::Start)) => {
                same_record(record, &metadata, &body, &rest[..length]);
                length
            }
            (Entry::Invalid(_, skipped), Step::Broken) => {
                assert_eq!(skipped.as_ptr(), rest.as_ptr(), "what is skipped begins where reading ended");
                let Some((expected, most_work)) = resume(rest) else { return };
                // The plugin may give up a search that would cost too much, and then takes all for one.
                let gave_up = skipped.len() == rest.len() && most_work > 16 * rest.len();
                assert!(skipped.len() == expected || gave_up, "skipped {} bytes, not {expected}", skipped.len());
                skipped.len()
            }
            (entry, step) => panic!("{entry:?} where the twin has {}", name(&step)),
        };
        rest = &rest[taken..];
    }
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
}

fn name(step: &Step) -> String {
    match step {
        Step::Record(time, .., form) => format!("a record at {time}: {form:?}"),
        Step::Broken => "nothing".to_owned(),
        Step::TooDeep => "too much".to_owned(),
    }
}

/// The entry at the start, and its length.
fn step(bytes: &[u8]) -> (Step, usize) {
    let mut rest = bytes;
    let value = match value(&mut rest, MAX_DEPTH) {
        Ok(value) => value,
        Err(TooDeep(true)) => return (Step::TooDeep, 0),
        Err(TooDeep(false)) => return (Step::Broken, 0),
    };
    (record(value).unwrap_or(Step::Broken), bytes.len() - rest.len())
}

fn record(value: Plain) -> Option<Step> {
    let Plain::Array(pair) = value else { return None };
    let [head, body] = <[Plain; 2]>::try_from(pair).ok()?;
    let (time, metadata) = match head {
        Plain::Array(head) => {
            let [time, metadata] = <[Plain; 2]>::try_from(head).ok()?;
            let Plain::Map(metadata) = metadata else { return None };
            (time, metadata)
        }
        time => (time, vec![]),
    };
    let form = form(&time)?;
    Some(Step::Record(time, metadata, body, form))
}

fn form(time: &Plain) -> Option<Form> {
    let at = |secs, nanos| Form::At(Timestamp { secs, nanos });
    match time {
        Plain::Integer(secs) => secs.as_u64().map(|secs| at(secs, 0)),
        Plain::F32(secs) => seconds(f64::from(*secs)),
        Plain::F64(secs) => seconds(*secs),
        Plain::Ext(0, bytes) if bytes.len() == 8 => {
            let (secs, nanos) = bytes.split_at(4);
            let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n * 256 + u32::from(*byte));
            Some(match (number(secs), number(nanos)) {
                (0xffff_ffff, 0) => Form::Start,
                (0xffff_fffe, 0) => Form::End,
                (secs, nanos) => at(u64::from(secs), nanos.min(999_999_999)),
            })
        }
        _ => None,
    }
}

/// Microseconds are what is kept of a float.
fn seconds(secs: f64) -> Option<Form> {
    let micros = (secs * 1e6).round() as u64;
    let time = Timestamp { secs: micros / 1_000_000, nanos: (micros % 1_000_000) as u32 * 1_000 };
    (secs.is_finite() && secs >= 0.0).then_some(Form::At(time))
}

/// Returns the number of bytes to skip: one value if everything behind it is sound, else up to the first place that looks
/// like a record from which everything is sound; and the most bytes that a search may read. Returns `None` if the nesting is
/// too deep to tell.
fn resume(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut rest = bytes;
    match value(&mut rest, MAX_DEPTH) {
        Err(TooDeep(true)) => return None,
        Ok(_) if sound(rest)?.0 => return Some((bytes.len() - rest.len(), 0)),
        _ => {}
    }
    let mut work = 0;
    for start in 1..bytes.len() {
        let candidate = &bytes[start..];
        let heads: [&[u8]; 3] = [b"\x92", b"\xdc\x00\x02", b"\xdd\x00\x00\x00\x02"];
        if heads.iter().any(|head| candidate.starts_with(head)) {
            let (sound, looked_at) = sound(candidate)?;
            work += looked_at;
            if sound {
                return Some((start, work));
            }
        }
    }
    Some((bytes.len(), work))
}

/// Returns whether the bytes are whole entries with maps for bodies and nothing else, and the number of bytes read at most.
fn sound(bytes: &[u8]) -> Option<(bool, usize)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match step(rest) {
            (Step::TooDeep, _) => return None,
            (Step::Record(_, _, body, form), length) if body.is_map() || form == Form::End => rest = &rest[length..],
            // The failed one may have looked at all that is left, and a little is added for each.
            _ => return Some((false, bytes.len() + 1)),
        }
    }
    Some((true, bytes.len()))
}

/// Why there is no value: whether it is for its depth.
struct TooDeep(bool);

/// One value. `rmpv` takes the marker that MessagePack never uses for nil, so containers are opened here.
fn value(rest: &mut &[u8], depth: usize) -> Result<Plain, TooDeep> {
    let broken = |_| TooDeep(false);
    let deeper = depth.checked_sub(1).ok_or(TooDeep(true))?;
    match Marker::from_u8(*rest.first().ok_or(TooDeep(false))?) {
        Marker::Reserved => Err(TooDeep(false)),
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let length = rmp::decode::read_array_len(rest).map_err(|_| TooDeep(false))?;
            (0..length).map(|_| value(rest, deeper)).collect::<Result<_, _>>().map(Plain::Array)
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let length = rmp::decode::read_map_len(rest).map_err(|_| TooDeep(false))?;
            let pairs = (0..length).map(|_| Ok((value(rest, deeper)?, value(rest, deeper)?)));
            pairs.collect::<Result<_, _>>().map(Plain::Map)
        }
        _ => rmpv::decode::read_value(rest).map_err(broken),
    }
}

fn same_record(record: &Record<'_>, metadata: &[(Plain, Plain)], body: &Plain, raw: &[u8]) {
    assert_eq!(record.raw, raw);
    assert!(same(record.body, body), "{:?} is {body}", record.body);
    assert_eq!(record.metadata.len(), metadata.len());
    let pairs = record.metadata.pairs().zip(metadata);
    assert!(pairs.into_iter().all(|((key, value), (k, v))| same(key, k) && same(value, v)));
}

fn same(ours: Value<'_>, plain: &Plain) -> bool {
    match (ours, plain) {
        (Value::Nil, Plain::Nil) => true,
        (Value::Bool(ours), Plain::Boolean(plain)) => ours == *plain,
        (Value::Int(ours), Plain::Integer(plain)) => ours < 0 && plain.as_i64() == Some(ours),
        (Value::UInt(ours), Plain::Integer(plain)) => plain.as_u64() == Some(ours),
        (Value::Float(ours), Plain::F32(plain)) => ours.to_bits() == f64::from(*plain).to_bits(),
        (Value::Float(ours), Plain::F64(plain)) => ours.to_bits() == plain.to_bits(),
        (Value::Str(ours), Plain::String(plain)) => ours == plain.as_bytes(),
        (Value::Bin(ours), Plain::Binary(plain)) => ours == plain,
        (Value::Ext(kind, ours), Plain::Ext(k, plain)) => kind == *k && ours == plain,
        (Value::Array(ours), Plain::Array(plain)) => {
            ours.len() == plain.len() && ours.values().zip(plain).all(|(ours, plain)| same(ours, plain))
        }
        (Value::Map(ours), Plain::Map(plain)) => {
            let mut pairs = ours.pairs().zip(plain);
            ours.len() == plain.len() && pairs.all(|((key, value), (k, v))| same(key, k) && same(value, v))
        }
        _ => false,
    }
}
