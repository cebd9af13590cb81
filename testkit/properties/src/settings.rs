//! Options as somebody might write them, each round others.

use out_sentry::options::{self, Mapping};
use testkit::generate::random::Random;

/// Values of an option that change what a record becomes; an empty one leaves it at its default.
const CHOICES: &[(&str, &[&str])] = &[
    ("event_level", &["", "off", "trace", "info", "fatal"]),
    ("logs_level", &["", "off", "trace", "trace", "error"]),
    ("environment", &["", "", "production"]),
    ("release", &["", "", "shop@1.2.3"]),
    ("server_name", &["", "", "node é 1"]),
    ("tags", &["", "region=eu,level=x", "a b=c,a-b=d,a.b=e"]),
    ("message_key", &["", "msg,log", "$a['b'],log"]),
    ("parse_message", &["", "off"]),
    ("join_traces", &["", "off"]),
    ("level_map", &["", "notice=warning,audit=fatal,error=info"]),
    ("default_level", &["", "error", "trace"]),
    ("stack_key", &["", "log", "exception,error,a.b"]),
    ("tag_keys", &["", "service,a,a.b,1,user.id,level", "kubernetes.labels.app,msg,log"]),
    ("label_keys", &["", "*", "none"]),
    ("remove_keys", &["", "a,password", "a.b,$kubernetes['labels']['app']", "kubernetes,message"]),
    ("fingerprint", &["", "{{ default }},$service", "$a.b", "fixed,$log,$a"]),
    ("breadcrumbs", &["", "0", "100"]),
    ("sample_rate", &["", "", "0.5", "0"]),
    ("logs_sample_rate", &["", "", "0.5"]),
    ("storm_burst", &["", "0", "1"]),
    ("event_rate", &["", "0", "2"]),
    ("send_pii", &["", "on"]),
    ("scrub", &["", "off"]),
    ("scrub_keys", &["", "iban,service", "a"]),
    ("kube_events", &["", "", "node", "cluster", "off"]),
    ("kube_event_levels", &["", "BackOff=off,Started=error"]),
    ("kernel_tags", &["", "*"]),
    ("logs_on_error", &["", "", "3"]),
    ("log_attributes", &["", "", "full", "a.*,k8s.*,level", "lean,container.*"]),
];

/// The settings of a round; `fixed` ones are the same in all.
pub fn any(random: &mut Random, fixed: &[(&str, &str)]) -> Mapping {
    let chosen: Vec<(&str, &str)> = CHOICES
        .iter()
        .map(|(name, values)| (*name, *random.pick(values)))
        .map(|(name, value)| (name, fixed.iter().find(|(f, _)| *f == name).map_or(value, |(_, value)| value)))
        .collect();
    of(&chosen)
}

/// These settings and no others.
pub fn of(options: &[(&str, &str)]) -> Mapping {
    let lookup = |name: &str| {
        let given = options.iter().find(|(option, _)| *option == name).map(|(_, value)| (*value).to_owned());
        given.or_else(|| (name == "dsn").then(|| "https://0123456789abcdef0123456789abcdef@127.0.0.1/1".to_owned()))
    };
    let loaded = options::load(lookup, |_| None);
    loaded.unwrap_or_else(|problems| panic!("{problems:?}")).settings.mapping
}
