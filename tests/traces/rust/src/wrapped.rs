//! An `anyhow` error that leaves main, with a backtrace.
use anyhow::{Context, Result};

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

fn load() -> Result<String> {
    read("/app/prices.json").context("loading the catalogue")
}

fn main() -> Result<()> {
    load()?;
    Ok(())
}
