//! The outputs that are compared, each as a section of a configuration.

use std::path::PathBuf;

/// Compressions that an output can use for the data that it sends.
pub const COMPRESSIONS: [&str; 3] = ["none", "gzip", "zstd"];

/// An output with its options.
#[derive(Debug, Clone)]
pub struct Output {
    /// The name of the output in the table.
    pub label: &'static str,
    /// The name of the plugin.
    pub plugin: &'static str,
    /// One of [`COMPRESSIONS`].
    pub compress: &'static str,
    /// The build of the plugin that Fluent Bit loads; none for its own outputs.
    pub library: Option<PathBuf>,
    /// Lines of options beside those; `${PORT}` is the server's.
    options: String,
}

impl Output {
    /// Returns the output that costs nothing. The costs of all others are measured above it.
    pub fn null() -> Self {
        Self { label: "`null`", plugin: "null", compress: "none", library: None, options: String::new() }
    }

    /// JSON over HTTP; its `compress` has no word for none.
    pub fn http(compress: &'static str) -> Self {
        let options = "Host 127.0.0.1\nPort ${PORT}\nURI /lines\nFormat json\n".to_owned();
        Self { label: "`http`", plugin: "http", compress, library: None, options }
    }

    /// OTLP, in batches of a thousand, as is its default.
    pub fn opentelemetry(compress: &'static str) -> Self {
        let options = "Host 127.0.0.1\nPort ${PORT}\nlogs_uri /v1/logs\n".to_owned();
        Self { label: "`opentelemetry`", plugin: "opentelemetry", compress, library: None, options }
    }

    /// Ours: logs only, in batches of a thousand, and what else is given.
    pub fn sentry(compress: &'static str, more: &str) -> Self {
        let dsn = "dsn http://00000000000000000000000000000000@127.0.0.1:${PORT}/1\nproxy none\n";
        let options = format!("{dsn}event_level off\nbatch_max_items 1000\ncompress {compress}\n{more}");
        Self { label: "`sentry`", plugin: "sentry", compress, library: Some(testkit::plugin()), options }
    }

    /// [`Output::sentry`] with another build of the plugin.
    pub fn other_build(library: PathBuf, compress: &'static str, more: &str) -> Self {
        Self { label: "`sentry`, `BENCH_PLUGIN`", library: Some(library), ..Self::sentry(compress, more) }
    }

    /// [`Output::sentry`] as its samples have it, with a spool.
    pub fn spooling(compress: &'static str, more: &str) -> Self {
        let more = format!("spool_path ${{STATE}}/spool\n{more}");
        Self { label: "`sentry`, `spool_path`", ..Self::sentry(compress, &more) }
    }

    /// Returns true if the output sends records to a server.
    pub fn sends(&self) -> bool {
        self.plugin != "null"
    }

    /// The configuration of a host with this output, which reads this file.
    pub fn configuration(&self, file: &std::path::Path, port: u16) -> String {
        format!(
            "[SERVICE]\n    Flush     1\n    Grace     1\n    Log_Level info\n\n\
             [INPUT]\n    Name             tail\n    Tag              lines\n    Path             {}\n    \
             multiline.parser cri\n    Read_from_Head   On\n\n{}",
            file.display(),
            self.section(port)
        )
    }

    /// The section of the output.
    pub fn section(&self, port: u16) -> String {
        let compress = match (self.plugin, self.compress) {
            ("null" | "sentry", _) | (_, "none") => String::new(),
            (_, compress) => format!("compress {compress}\n"),
        };
        let options = format!("{}{compress}", self.options).replace("${PORT}", &port.to_string());
        let indented: String = options.lines().map(|line| format!("    {line}\n")).collect();
        format!("[OUTPUT]\n    Name  {}\n    Match *\n{indented}", self.plugin)
    }
}
