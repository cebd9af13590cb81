#!/bin/bash
# Makes the Rust traces again. Needs rust 1.95 and anyhow.
set -u
here=$(cd "$(dirname "$0")" && pwd); out=$(cd "$here/.." && pwd); mkdir -p /app/shop/src/bin; cd /app/shop
cp "$here/main.rs" src/main.rs; cp "$here/wrapped.rs" src/bin/wrapped.rs
printf '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\nanyhow = "1"\n[workspace]\n' > Cargo.toml
export CARGO_TARGET_DIR=/tmp/target-shop RUST_BACKTRACE=0
cargo build -q || exit 1
run() { "$@" 2>&1 | sed 's#/root/.cargo#/usr/local/cargo#g; s#/root/.rustup#/usr/local/rustup#g; s#/registry/src/[^/]*/#/registry/src/github.com-1ecc6299db9ec823/#g'; }
run $CARGO_TARGET_DIR/debug/shop expect > "$out/no_backtrace.txt"
run $CARGO_TARGET_DIR/debug/shop thread > "$out/threads.txt"
RUST_BACKTRACE=1 run $CARGO_TARGET_DIR/debug/shop expect > "$out/expect.txt"
RUST_BACKTRACE=1 run $CARGO_TARGET_DIR/debug/shop thread > "$out/threads_backtrace.txt"
RUST_BACKTRACE=full run $CARGO_TARGET_DIR/debug/shop > "$out/full.txt"
RUST_BACKTRACE=1 run $CARGO_TARGET_DIR/debug/wrapped > "$out/anyhow.txt"
rm -rf /app/shop
