//! Link flags of the plugin.

fn main() {
    // The host unloads plugins with dlclose while its own threads may still hold our thread-local destructors.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
