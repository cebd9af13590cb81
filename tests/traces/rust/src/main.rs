//! Fails in the ways a Rust service fails; the argument chooses which.
use std::collections::HashMap;

struct Gateway<'a> {
    prices: HashMap<&'a str, u32>,
}

impl Gateway<'_> {
    fn charge(&self, sku: &str) -> u32 {
        *self.prices.get(sku).expect("no price\nfor this item")
    }
}

trait Pay {
    fn pay(&self, skus: &[&str]) -> u32;
}

impl Pay for Gateway<'_> {
    fn pay(&self, skus: &[&str]) -> u32 {
        skus.iter().map(|sku| self.charge(sku)).sum()
    }
}

fn main() {
    let gateway = Gateway { prices: HashMap::from([("mug", 3)]) };
    match std::env::args().nth(1).as_deref() {
        Some("expect") => drop(gateway.pay(&["mug", "pen"])),
        Some("thread") => {
            let worker = std::thread::Builder::new().name("worker-1".into()).spawn(|| {
                let parts: Vec<u32> = Vec::new();
                parts[2]
            });
            let _ = worker.unwrap().join();
            assert_eq!(1 + 1, 3, "totals of order {} differ", 4711);
        }
        _ => {
            let none: Result<u32, std::num::ParseIntError> = "one".parse();
            none.unwrap();
        }
    }
}
