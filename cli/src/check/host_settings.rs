//! Checks the settings of Fluent Bit around an output: its keys of the section, the service, inputs and filters.

use super::config::{Configuration, Kind, Property, Section};
use super::host_version::HostVersion;
use super::output::Output;
use super::report::Report;
use out_sentry::level::Level;
use out_sentry::options::{Mode, Settings};
use std::io::Read;

/// Longest wait between two tries of a chunk that is no surprise, in seconds.
const LONG_CAP: f64 = 300.0;

/// Keys that Fluent Bit keeps, that do nothing for this output, and the replacement for each.
const USELESS: &[(&str, &str)] = &[
    ("host", "the DSN says where to send"),
    ("port", "the DSN says where to send"),
    ("tls.ca_file", "use tls_ca_file"),
    ("tls.ca_path", "use tls_ca_file"),
    ("tls.crt_file", "use tls_crt_file"),
    ("tls.key_file", "use tls_key_file"),
    ("tls.verify", "use tls_verify"),
    ("net.connect_timeout", "use timeout"),
    ("net.io_timeout", "use timeout"),
    ("storage.total_limit_size", "it limits Fluent Bit's own files only; spool_max_size limits the spool"),
];

/// Looks at the keys of an output that the plugin does not see. `host` is the version of Fluent Bit, where it is known.
pub(super) fn of_output(
    output: &Output,
    configuration: &Configuration,
    host: Option<HostVersion>,
    report: &mut Report,
) {
    if !is_fed(output, configuration) {
        report.problem(output.place(), "no match: Fluent Bit passes no records to this output");
    }
    retries(output, report);
    tls_of_the_host(&output.section, report);
    for property in &output.section.properties {
        let useless = USELESS.iter().find(|(key, _)| property.key.eq_ignore_ascii_case(key));
        if let Some((key, instead)) = useless {
            let kept =
                if *key == "storage.total_limit_size" { "" } else { "Fluent Bit does not pass it to this output: " };
            report.advice(Some(property.place.clone()), &format!("{key}: {kept}{instead}"));
        }
    }
    if let Some(loaded) = &output.loaded {
        workers(output, &loaded.settings, report);
        workers_with_reload(output, configuration, host, report);
        inputs(&loaded.settings, configuration, report);
        kubernetes(output, &loaded.settings, configuration, report);
    }
}

/// Returns true if records reach the output: by a match, by routes that inputs name, or because there is only one input and
/// one output.
fn is_fed(output: &Output, configuration: &Configuration) -> bool {
    let matched = ["match", "match_regex"].iter().any(|key| output.section.value(key).is_some());
    let routed = configuration.of(Kind::Input).any(|input| input.find("routes").is_some());
    let only = [Kind::Input, Kind::Output].iter().all(|kind| configuration.of(*kind).count() == 1);
    matched || routed || only
}

fn retries(output: &Output, report: &mut Report) {
    const SET: &str = "set retry_limit no_limits";
    match output.section.value("retry_limit") {
        None => {
            report.advice(output.place(), &format!("no retry_limit: Fluent Bit drops a chunk after one retry; {SET}"))
        }
        Some(value) if ["no_limits", "false", "off"].iter().any(|word| value.eq_ignore_ascii_case(word)) => {}
        Some(value) => {
            let text = format!("retry_limit = {value}: Fluent Bit drops a chunk after that many retries; {SET}");
            report.advice(output.place_of("retry_limit"), &text);
        }
    }
}

fn tls_of_the_host(section: &Section, report: &mut Report) {
    let on = |property: &&Property| {
        ["on", "true", "yes"].iter().any(|word| property.value.trim().eq_ignore_ascii_case(word))
    };
    if let Some(property) = section.find("tls").filter(on) {
        let text = "tls = on: Fluent Bit refuses it for this output; remove it, an https DSN is enough";
        report.problem(Some(property.place.clone()), text);
    }
}

fn workers(output: &Output, settings: &Settings, report: &mut Report) {
    let workers = output.section.value("workers").filter(|value| *value != "0");
    let mode = settings.delivery.mode;
    let spool = mode == Mode::Spool || mode == Mode::Auto && settings.delivery.spool_path.is_some();
    const LEAK: &str = "Fluent Bit leaks their threads at each hot reload";
    let place = || output.place_of("workers");
    match (workers, mode) {
        (Some(_), _) if spool => report.advice(place(), &format!("workers: {LEAK}, and a spool does not need them")),
        (Some(_), Mode::Auto) => {
            let text =
                format!("workers without spool_path: delivery is ack, and {LEAK}; set spool_path and remove workers");
            report.advice(place(), &text);
        }
        (Some(_), _) => report.advice(place(), &format!("workers: {LEAK}")),
        (None, Mode::Ack) => {
            let text = "delivery = ack without workers: each flush blocks all of Fluent Bit until Sentry has answered";
            report.problem(output.place_of("delivery"), text);
        }
        (None, _) => {}
    }
    if !spool && mode != Mode::Ack && workers.is_none() || mode == Mode::Memory {
        let text = "no spool_path: queued items are lost if Fluent Bit is killed; set it to a directory that survives a restart";
        report.advice(output.place_of("delivery"), text);
    } else if settings.delivery.spool_path.is_some() && !spool {
        let text = format!("spool_path has no effect with delivery = {}", mode.name());
        report.advice(output.place_of("spool_path"), &text);
    }
}

/// Fluent Bit 2.2 to 4.2 leaks a pool of workers at each reload, and the leaked one uses the instance that is gone.
fn workers_with_reload(output: &Output, configuration: &Configuration, host: Option<HostVersion>, report: &mut Report) {
    let has_workers = output.section.value("workers").is_some_and(|value| value != "0");
    if !has_workers
        || !configuration.service("hot_reload").is_some_and(is_on)
        || host.is_some_and(|host| host.major >= 5)
    {
        return;
    }
    let which = match host {
        Some(version) => format!("Fluent Bit {version}"),
        None => "Fluent Bit before 5.0 (name yours with --fluent-bit)".to_owned(),
    };
    let text = format!("workers with hot_reload: {which} crashes at one of the next reloads; remove workers");
    report.problem(output.place_of("workers"), &text);
}

/// Returns true for the words with which a configuration of Fluent Bit switches something on.
fn is_on(value: &str) -> bool {
    ["on", "true", "yes"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Fluent Bit 2.2.0 to 3.2.2 answers every flush of a Go plugin with RETRY itself while it reloads (`src/flb_plugin_proxy.c`), and
/// waits for the chunks to be taken. Older releases with hot reload, 2.1, pass the chunks on.
fn refused_chunks(configuration: &Configuration, host: Option<HostVersion>, report: &mut Report) {
    let Some(version) = host.filter(|host| host.may_be_within([2, 2, 0], [3, 2, 2])) else { return };
    let reload = configuration.of(Kind::Service).find_map(|section| section.find("hot_reload"));
    if let Some(reload) = reload.filter(|reload| is_on(&reload.value)) {
        let text = format!(
            "hot_reload: Fluent Bit {version} passes this output no chunk during a reload: with retry_limit no_limits the reload \
             may never end, otherwise it may drop chunks; restart Fluent Bit instead, or use 3.2.3 or later"
        );
        report.problem(Some(reload.place.clone()), &text);
    }
}

/// Advises file storage of inputs: `ack` stores nothing of its own, so that chunks in Fluent Bit's memory are lost with it.
fn inputs(settings: &Settings, configuration: &Configuration, report: &mut Report) {
    let spool = settings.delivery.spool_path.is_some() && settings.delivery.mode != Mode::Ack;
    if spool || settings.delivery.mode == Mode::Memory {
        return;
    }
    for input in configuration.of(Kind::Input) {
        if !input.value("storage.type").is_some_and(|value| value.eq_ignore_ascii_case("filesystem")) {
            let text = "storage.type is not filesystem: in delivery ack, chunks in memory are lost if Fluent Bit is killed; set storage.type filesystem";
            report.advice(Some(input.place.clone()), text);
        }
    }
}

fn kubernetes(output: &Output, settings: &Settings, configuration: &Configuration, report: &mut Report) {
    let by_annotation = !settings.destination.allow_hosts.is_empty();
    if !by_annotation && settings.destination.dsn_dir.is_none() {
        return;
    }
    let option = if by_annotation { "dsn_allow_hosts" } else { "dsn_dir" };
    let mut filters =
        configuration.of(Kind::Filter).filter(|filter| filter.is_plugin(Kind::Filter, "kubernetes")).peekable();
    if filters.peek().is_none() {
        let text = format!("{option} is set, but no kubernetes filter adds the namespace and pod to records");
        return report.advice(output.place_of(option), &text);
    }
    for filter in filters.filter(|_| by_annotation) {
        let off = |p: &&Property| ["off", "false", "no"].iter().any(|word| p.value.trim().eq_ignore_ascii_case(word));
        if let Some(property) = filter.find("annotations").filter(off) {
            let text = "annotations = off: dsn_allow_hosts is set, but records come without the annotation that names a DSN; set annotations on";
            report.problem(Some(property.place.clone()), text);
        }
    }
}

/// Checks the settings that concern all outputs together.
pub(super) fn of_whole(
    outputs: &[Output],
    configuration: &Configuration,
    host: Option<HostVersion>,
    report: &mut Report,
) {
    refused_chunks(configuration, host, report);
    lifted_annotations(configuration, report);
    scheduler(configuration, report);
    metrics(configuration, report);
    is_loaded(configuration, report);
    for section in configuration.of(Kind::Plugins) {
        section.properties.iter().filter(|property| property.key == "path").for_each(|path| plugin(path, report));
    }
    for (at, output) in outputs.iter().enumerate() {
        outputs[..at].iter().for_each(|other| pair(other, output, report));
    }
}

/// Annotations are never sent, but once they have been lifted to the top of the record under a name of their own nothing tells
/// them from other fields.
fn lifted_annotations(configuration: &Configuration, report: &mut Report) {
    let is =
        |section: &Section, key: &str, value: &str| section.value(key).is_some_and(|v| v.eq_ignore_ascii_case(value));
    let nests = configuration.of(Kind::Filter).filter(|filter| filter.is_plugin(Kind::Filter, "nest"));
    for filter in nests.filter(|filter| is(filter, "operation", "lift")) {
        let Some(under) = filter.find("nested_under").filter(|under| under.value.trim().ends_with("annotations"))
        else {
            continue;
        };
        // The plugin knows them below the name that their map has.
        let name = under.value.trim();
        let named =
            filter.value("add_prefix").is_some_and(|prefix| prefix.starts_with(name) && prefix.len() > name.len());
        if !named {
            let text = format!(
                "nested_under = {name}: annotations that are lifted are sent as fields; remove this filter, or set add_prefix {name}_"
            );
            report.problem(Some(under.place.clone()), &text);
        }
    }
}

fn scheduler(configuration: &Configuration, report: &mut Report) {
    const SET: &str = "set scheduler.base 2 and scheduler.cap 60 in the service";
    let place = configuration.of(Kind::Service).next().map(|section| section.place.clone());
    match configuration.service("scheduler.cap") {
        None => report
            .advice(place, &format!("no scheduler.cap: the wait before a retry grows to half an hour and more; {SET}")),
        Some(cap) if cap.parse().is_ok_and(|seconds: f64| seconds > LONG_CAP) => {
            report.advice(place, &format!("scheduler.cap = {cap}: a retry may wait for that many seconds; {SET}"));
        }
        Some(_) => {}
    }
}

fn metrics(configuration: &Configuration, report: &mut Report) {
    if !configuration.service("http_server").is_some_and(is_on) {
        let place = configuration.of(Kind::Service).next().map(|section| section.place.clone());
        report.advice(
            place,
            "http_server is off: Fluent Bit serves no metrics; set http_server on (/api/v2/metrics/prometheus)",
        );
    }
}

fn plugin(path: &Property, report: &mut Report) {
    let value = path.value.trim();
    let name = value.rsplit('/').next().unwrap_or(value);
    if !name.to_ascii_lowercase().contains("sentry") {
        return;
    }
    let place = || Some(path.place.clone());
    if name.starts_with("flb-") {
        report.problem(
            place(),
            &format!("{name}: Fluent Bit takes a file named flb-* for a plugin of another kind; rename it"),
        );
    }
    if !value.contains('/') {
        report.advice(
            place(),
            &format!("{name}: without a directory, Fluent Bit looks for it in the library path of the system; set its full path"),
        );
    } else if let Err(why) = loadable(std::path::Path::new(value)) {
        report.problem(place(), &format!("{value} cannot be loaded on this machine: {why}"));
    }
}

/// Looks at the header of a plugin's file (ELF-64, <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>).
///
/// # Errors
/// Why this machine's Fluent Bit cannot load it.
fn loadable(path: &std::path::Path) -> Result<(), String> {
    const X86_64: u16 = 62;
    const AARCH64: u16 = 183;
    let ours = if cfg!(target_arch = "aarch64") { AARCH64 } else { X86_64 };
    let mut head = [0; 20];
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    if file.take(20).read_exact(&mut head).is_err() || !head.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is not a shared library of a 64-bit Linux".to_owned());
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        machine if machine == ours => Ok(()),
        X86_64 => Err("it is for x86_64".to_owned()),
        AARCH64 => Err("it is for arm64".to_owned()),
        _ => Err("it is for another architecture".to_owned()),
    }
}

/// Reports that nothing in the configuration loads the plugin. `-e` on the command line would.
fn is_loaded(configuration: &Configuration, report: &mut Report) {
    let names_it =
        |path: &Property| path.value.rsplit('/').next().unwrap_or_default().to_ascii_lowercase().contains("sentry");
    let mut paths = configuration.of(Kind::Plugins).flat_map(|section| &section.properties);
    let place = configuration.of(Kind::Service).next().map(|section| section.place.clone());
    if !paths.any(|property| property.key == "path" && names_it(property)) {
        let text = "no plugins_file (classic) or plugins (YAML) loads out_sentry.so: Fluent Bit does not know the output sentry";
        report.problem(place, text);
    }
}

/// Two outputs that get in each other's way.
fn pair(first: &Output, second: &Output, report: &mut Report) {
    let (Some(one), Some(two)) = (&first.loaded, &second.loaded) else { return };
    let (one, two) = (&one.settings, &two.settings);
    if let Some(path) = one.delivery.spool_path.as_ref().filter(|path| two.delivery.spool_path.as_ref() == Some(path)) {
        let text = format!(
            "spool_path = {}: {} has the same spool_path, and only one instance can use it; give each its own",
            path.display(),
            first.name
        );
        report.problem(second.place_of("spool_path"), &text);
    }
    let same = |key| first.section.value(key) == second.section.value(key);
    let identity = |settings: &Settings| settings.destination.dsn.as_ref().map(out_sentry::options::Dsn::identity);
    // One for issues and one for logs get in nobody's way.
    let both = |level: fn(&Settings) -> Option<Level>| level(one).is_some() && level(two).is_some();
    let overlap = both(|settings| settings.mapping.event_level) || both(|settings| settings.mapping.logs_level);
    if overlap && identity(one).is_some() && identity(one) == identity(two) && same("match") && same("match_regex") {
        let text =
            format!("{} matches the same records and sends them to the same project: each arrives twice", first.name);
        report.advice(second.place(), &text);
    }
}
