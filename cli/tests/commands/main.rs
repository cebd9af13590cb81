//! The commands as a user calls them, and the server and the host that they are made of, each over its public interface.

mod check;
mod host;
mod plugin;
mod receive;
mod ship;
