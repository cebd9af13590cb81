//! Chooses the proxy for a destination, if any: the option `proxy`, else the environment's variables.
//!
//! `HTTPS_PROXY` applies to `https` DSNs. `HTTP_PROXY` applies to `http` DSNs, and to `https` DSNs if `HTTPS_PROXY` is not
//! set, as in Sentry's own clients. `NO_PROXY` is read as curl and Go read it: hosts with all their subdomains, addresses,
//! networks (`10.0.0.0/8`), each with an optional port, and `*`.

use super::Dsn;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Description of a correct value of the option and of the variables.
pub(super) const EXPECTED: &str = "none, or a proxy such as http://user:password@host:3128";

/// A proxy's URL. No printed form shows its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Arc<str>);

/// The proxies of an instance. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    https: Option<ProxyUrl>,
    http: Option<ProxyUrl>,
    except: NoProxy,
}

/// Destinations that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NoProxy(Vec<Exception>);

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A host, or any below it.
    Domain(String),
    /// Addresses that begin with these bits.
    Network(IpAddr, u8),
}

impl ProxyUrl {
    /// Reads a URL; one without a scheme is of HTTP.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let known = ["http://", "https://"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme));
        if known && ureq::Proxy::new(&url).is_ok() { Ok(Self(url.into())) } else { Err(EXPECTED) }
    }

    /// The URL with its credentials, to connect with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Masks everything before the last `@` but the scheme, whatever else is wrong with the text.
pub(super) fn mask(text: &str) -> String {
    let Some(end) = text.rfind('@') else { return text.to_owned() };
    let start = text.find("://").map_or(0, |at| at + 3);
    if start < end { format!("{}***{}", &text[..start], &text[end..]) } else { format!("***{}", &text[end..]) }
}

impl Proxies {
    /// Reads the option: `none`, or one proxy for every destination.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        if !text.contains("://") {
            return Err(EXPECTED);
        }
        let proxy = Some(ProxyUrl::parse(text)?);
        Ok(Self { https: proxy.clone(), http: proxy, except: NoProxy::default() })
    }

    /// Reads the environment; of two spellings of a variable the upper case goes first. Also returns a masked description of
    /// the proxies found.
    ///
    /// # Errors
    /// The variable that cannot be a proxy, and its value, masked.
    pub(super) fn from_environment(
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, String), (&'static str, String)> {
        let set = |name: &str| environment(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let find = |name: &'static str| set(name).or_else(|| set(&name.to_ascii_lowercase()));
        let proxy = |name: &'static str| match find(name) {
            Some(text) => ProxyUrl::parse(&text).map(Some).map_err(|_| (name, mask(&text))),
            None => Ok(None),
        };
        let (https, http) = (proxy("HTTPS_PROXY")?, proxy("HTTP_PROXY")?);
        let except = find("NO_PROXY").filter(|_| https.is_some() || http.is_some());
        let mut said = String::new();
        for (name, found) in [("HTTPS_PROXY", &https), ("HTTP_PROXY", &http)] {
            let text = found.as_ref().map(|url| format!(" {name}={url}"));
            said.push_str(&text.unwrap_or_default());
        }
        if let Some(list) = &except {
            let entries: Vec<_> = list.split(',').map(mask).collect();
            said.push_str(&format!(" NO_PROXY={}", entries.join(",")));
        }
        let except = except.as_deref().map(NoProxy::parse).unwrap_or_default();
        Ok((Self { https: https.or_else(|| http.clone()), http, except }, said))
    }

    /// All proxies, each once.
    pub fn all(&self) -> impl Iterator<Item = &ProxyUrl> {
        let second = self.http.as_ref().filter(|http| self.https.as_ref() != Some(http));
        self.https.iter().chain(second)
    }

    /// The proxy that leads to a destination; `None`: it is reached directly.
    #[must_use]
    pub fn for_dsn(&self, dsn: &Dsn) -> Option<&ProxyUrl> {
        let proxy = if dsn.is_https() { &self.https } else { &self.http };
        let (host, port) = dsn.host_and_port();
        proxy.as_ref().filter(|_| !self.except.has(host, port))
    }
}

impl NoProxy {
    fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ']).map(str::trim);
        // What has an @ is no host, and may be a secret in the wrong place.
        let entries = entries.filter(|entry| !entry.is_empty() && !entry.contains('@'));
        Self(entries.map(Exception::parse).collect())
    }

    fn has(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        self.0.iter().any(|entry| entry.port.is_none_or(|own| own == port) && entry.hosts.has(host))
    }
}

impl Exception {
    fn parse(entry: &str) -> Self {
        let address = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if address(entry).is_none() => match port.parse() {
                Ok(port) => (host, Some(port)),
                Err(_) => (entry, None),
            },
            _ => (entry, None),
        };
        let network = host.split_once('/').and_then(|(ip, bits)| Some((address(ip)?, bits.parse().ok()?)));
        let whole = |ip: IpAddr| (ip, if ip.is_ipv4() { 32 } else { 128 });
        let hosts = match network.or_else(|| address(host).map(whole)) {
            Some((ip, bits)) => Hosts::Network(ip, bits),
            None if host == "*" => Hosts::All,
            None => Hosts::Domain(host.trim_start_matches('*').trim_matches('.').to_ascii_lowercase()),
        };
        Self { hosts, port }
    }
}

impl Hosts {
    fn has(&self, host: &str) -> bool {
        match self {
            Hosts::All => true,
            Hosts::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Hosts::Network(network, bits) => host.parse().is_ok_and(|ip| same_bits(ip, *network, *bits)),
        }
    }
}

/// Returns true if the first `bits` of two addresses of the same family are equal.
fn same_bits(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    differ.leading_zeros() >= u32::from(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn dsn(origin: &str) -> Dsn {
        Dsn::parse(&format!("{}/1", origin.replace("://", &format!("://{KEY}@")))).unwrap()
    }

    fn of(variables: &[(&str, &str)]) -> Result<(Proxies, String), (&'static str, String)> {
        Proxies::from_environment(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    fn chosen(variables: &[(&str, &str)], origin: &str) -> Option<String> {
        of(variables).unwrap().0.for_dsn(&dsn(origin)).map(|url| url.expose().to_owned())
    }

    #[test]
    fn a_variable_is_for_its_scheme_and_https_falls_back_to_http() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2")];
        for (variables, https, http) in [
            (&both[..], Some("http://s:1"), Some("http://p:2")),
            (&both[..1], Some("http://s:1"), None),
            (&both[1..], Some("http://p:2"), Some("http://p:2")),
            (&[("https_proxy", "s:1"), ("http_proxy", "p:2")], Some("http://s:1"), Some("http://p:2")),
            (&[("HTTPS_PROXY", " "), ("https_proxy", "s:1")], Some("http://s:1"), None),
            (&[("HTTP_PROXY", "http://a:1"), ("http_proxy", "http://b:1")], Some("http://a:1"), Some("http://a:1")),
            (&[("ALL_PROXY", "socks5://s:1")], None, None),
            (&[], None, None),
        ] {
            assert_eq!(chosen(variables, "https://h").as_deref(), https, "{variables:?}");
            assert_eq!(chosen(variables, "http://h").as_deref(), http, "{variables:?}");
        }
    }

    #[test]
    fn no_proxy_knows_hosts_suffixes_ports_addresses_networks_and_all() {
        for (list, direct, through) in [
            ("example.com", &["https://example.com", "https://a.b.example.com"][..], &["https://notexample.com"][..]),
            (".example.com", &["https://a.example.com"], &["https://example.org"]),
            ("*.example.com", &["https://a.example.com"], &["https://example.co"]),
            ("EXAMPLE.com", &["https://Example.COM"], &[]),
            ("example.com:9000", &["http://example.com:9000"], &["http://example.com", "https://example.com"]),
            ("example.com:443", &["https://example.com"], &["http://example.com"]),
            ("a, b c", &["https://a", "https://b", "https://c"], &["https://d"]),
            ("10.0.0.0/8", &["http://10.1.2.3:9000"], &["http://11.0.0.1", "http://ten.example"]),
            ("10.1.2.3", &["http://10.1.2.3:9000"], &["http://10.1.2.4"]),
            ("10.1.2.3:80", &["http://10.1.2.3"], &["http://10.1.2.3:81"]),
            ("::1", &["http://[::1]:9000"], &["http://[::2]"]),
            ("[::1]:9000", &["http://[::1]:9000"], &["http://[::1]:9001"]),
            ("fd00::/8", &["http://[fd12::1]"], &["http://[fe80::1]", "http://10.1.2.3"]),
            ("0.0.0.0/0", &["http://10.1.2.3"], &["http://[::1]"]),
            ("*", &["https://a", "http://10.1.2.3"], &[]),
            ("", &[], &["https://a"]),
            (".", &[], &["https://a"]),
        ] {
            let variables = [("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "http://p:2"), ("no_proxy", list)];
            direct.iter().for_each(|origin| assert_eq!(chosen(&variables, origin), None, "{list} {origin}"));
            through.iter().for_each(|origin| assert!(chosen(&variables, origin).is_some(), "{list} {origin}"));
        }
    }

    #[test]
    fn the_option_is_for_every_destination_and_none_is_none() {
        let proxies = Proxies::parse("http://p:1").unwrap();
        for origin in ["https://h", "http://h"] {
            assert_eq!(proxies.for_dsn(&dsn(origin)).map(ProxyUrl::expose), Some("http://p:1"));
            assert_eq!(Proxies::parse("NONE").unwrap().for_dsn(&dsn(origin)), None);
        }
        assert_eq!(proxies.all().count(), 1);
        for wrong in ["proxy", "host:3128", "socks5://h:1", "http://", "ftp://h"] {
            assert_eq!(Proxies::parse(wrong), Err(EXPECTED), "{wrong}");
        }
    }

    #[test]
    fn no_printed_form_shows_credentials() {
        let (proxies, said) = of(&[("HTTP_PROXY", "me:hunter2@p:1"), ("NO_PROXY", "a,me:hunter2@b,c")]).unwrap();
        assert_eq!(said, " HTTP_PROXY=http://***@p:1 NO_PROXY=a,***@b,c");
        assert!(!format!("{proxies:?}").contains("hunter2"), "{proxies:?}");
        let (name, value) = of(&[("https_proxy", "socks5://me:hunter2@p:1")]).unwrap_err();
        assert_eq!((name, value.as_str()), ("HTTPS_PROXY", "socks5://***@p:1"));
        for (text, shown) in [
            ("http://me:hunter2@p:1", "http://***@p:1"),
            ("http://me:h@unter2@p:1", "http://***@p:1"),
            ("me:hunter2@p:1", "***@p:1"),
            ("http:/me:hunter2@p:1", "***@p:1"),
            ("me@hunter2://p@x", "me@hunter2://***@x"),
            ("http://p:1", "http://p:1"),
        ] {
            assert_eq!(mask(text), shown);
        }
    }
}
