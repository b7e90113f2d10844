//! Who asks, behind the proxies that are trusted.
//!
//! A proxy says in `X-Forwarded-For` or `Forwarded` (RFC 7239) for whom it asks, and everybody else
//! can write these fields as well. So they count only if the connection is from a proxy that was
//! named with `--trusted-proxies`, and are read from the end: the last entry was written by that
//! proxy itself. Without a named proxy nothing of this is read.
//!
//! Architecture invariant: what is said here bounds tries and is written to the log. It gives nobody
//! a right: whoever asks from this machine is known by the connection alone (`guard`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;

/// Entries that are read at most, so that a field of 30 KiB costs nothing.
const HOPS_MAX: usize = 32;
/// The usual field.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Whether the client reached the proxy with `http` or `https`.
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// That of RFC 7239.
const FORWARDED: &str = "forwarded";

/// Addresses that begin with the same bits: `10.0.0.0/8`, or one address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    /// Bits that count, of 128.
    bits: u32,
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        (number(address) ^ self.base).leading_zeros() >= self.bits
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| {
            format!("{text:?} is not a network; write an address or such as 10.0.0.0/8")
        })?;
        let (longest, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = match bits.map(|bits| bits.trim().parse::<u32>()) {
            None => longest,
            Some(Ok(bits)) if bits <= longest => bits,
            Some(_) => return Err(format!("{text:?}: behind / stands 0 to {longest}")),
        };
        // An IPv4 address is compared as the IPv6 address that it is mapped to.
        Ok(Network { base: number(address), bits: bits + offset })
    }
}

/// What counts as one address: whoever holds one of version 6 holds its whole /64. This machine
/// stays what it is.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        address => address,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Who asks: the peer of the connection, or the one for whom it asks if it is a trusted proxy.
///
/// Where both fields are there and do not agree, one of them was passed through from outside; then
/// neither is believed.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let usual =
        entries(headers, FORWARDED_FOR).map(|entries| behind(peer, &entries, usual, trusted));
    let standard =
        entries(headers, FORWARDED).map(|entries| behind(peer, &entries, standard, trusted));
    match (usual, standard) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(found), _) | (None, Some(found)) => found,
        (None, None) => peer,
    }
}

/// For whom a peer says that it asks although it was not named as a proxy: what it wrote last, or the
/// peer itself if that cannot be read. It is a claim and nothing more.
pub fn claimed(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    if is_trusted(peer, trusted) {
        return None;
    }
    let last = |name| entries(headers, name).map(|entries| entries.first().copied());
    let read = match (last(FORWARDED_FOR), last(FORWARDED)) {
        (Some(entry), _) => entry.and_then(usual),
        (None, Some(entry)) => entry.and_then(standard),
        (None, None) => return None,
    };
    Some(read.unwrap_or(peer).to_canonical())
}

/// Whether the request reached a trusted proxy over https, as that proxy says. Only the last entry of
/// a field counts, which the proxy wrote itself; two fields that do not agree are not believed.
pub fn over_https(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> bool {
    if !is_trusted(peer, trusted) {
        return false;
    }
    let last = |name| entries(headers, name).and_then(|entries| entries.first().copied());
    let usual = last(FORWARDED_PROTO).map(|scheme| scheme.eq_ignore_ascii_case("https"));
    let standard = last(FORWARDED).and_then(|entry| parameter(entry, "proto"));
    let standard = standard.map(|scheme| scheme.eq_ignore_ascii_case("https"));
    usual.or(standard).unwrap_or(false) && usual != Some(false) && standard != Some(false)
}

/// Whether this is the address of a proxy that was named.
pub fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(address))
}

/// Entries of a field, the last one first; a field that stands there more than once is one list.
fn entries<'a>(headers: &'a HeaderMap, name: &str) -> Option<Vec<&'a str>> {
    let fields: Vec<_> = headers.get_all(name).iter().collect();
    let texts = fields.iter().rev().map(|field| field.to_str().unwrap_or("unreadable"));
    let entries = texts.flat_map(|text| text.rsplit(','));
    (!fields.is_empty()).then(|| entries.take(HOPS_MAX).map(str::trim).collect())
}

/// The first address that is no trusted proxy, from the end on. What cannot be read ends the way:
/// then it was the proxy before who asked, as far as anybody knows.
fn behind(
    peer: IpAddr,
    entries: &[&str],
    read: fn(&str) -> Option<IpAddr>,
    trusted: &[Network],
) -> IpAddr {
    let mut last = peer;
    for entry in entries {
        let Some(address) = read(entry) else { return last };
        last = address.to_canonical();
        if !is_trusted(last, trusted) {
            return last;
        }
    }
    last
}

/// `192.0.2.1`, `2001:db8::1`, and both with a port as some proxies write them.
fn usual(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| Some(entry.parse::<SocketAddr>().ok()?.ip()))
}

/// `for=192.0.2.1;proto=https`, `for="[2001:db8::1]:4711"` (RFC 7239 section 4).
fn standard(entry: &str) -> Option<IpAddr> {
    usual(parameter(entry, "for")?)
}

/// A parameter of an entry of `Forwarded`, without its quotation marks.
fn parameter<'a>(entry: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = entry.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXIES: [&str; 3] = ["10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48"];

    #[track_caller]
    fn check_from(peer: &str, fields: &[(&'static str, &str)], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, axum::http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = PROXIES.map(|text| text.parse().unwrap());
        let found = client(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{fields:?}");
        let none = client(peer.parse().unwrap(), &headers, &[]);
        assert_eq!(none, peer.parse::<IpAddr>().unwrap().to_canonical(), "nobody is trusted");
    }

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], expected: &str) {
        check_from("10.1.2.3", fields, expected);
    }

    #[test]
    fn a_trusted_proxy_says_for_whom_it_asks() {
        check(&[], "10.1.2.3");
        check(&[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
        check(&[("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9");
        check(&[("x-forwarded-for", "2001:db8::7")], "2001:db8::7");
        check(&[("x-forwarded-for", "[2001:db8::7]:4711")], "2001:db8::7");
        check(&[("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9");
        check(&[("forwarded", "for=203.0.113.9;proto=https;by=10.1.2.3")], "203.0.113.9");
        check(&[("forwarded", "proto=https; For=\"[2001:db8::7]:4711\"")], "2001:db8::7");
        check_from("::ffff:10.1.2.3", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
        check_from("2001:db8:1::5", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9");
    }

    #[track_caller]
    fn check_claim(peer: &str, fields: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, axum::http::HeaderValue::from_static(value));
        }
        let trusted = PROXIES.map(|text| text.parse().unwrap());
        let found = claimed(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found.map(|found| found.to_string()).as_deref(), expected, "{fields:?}");
    }

    #[test]
    fn an_undeclared_proxy_makes_a_claim() {
        check_claim(
            "203.0.113.1",
            &[("x-forwarded-for", "10.9.9.9, 198.51.100.7")],
            Some("198.51.100.7"),
        );
        check_claim("203.0.113.1", &[("forwarded", "for=198.51.100.7")], Some("198.51.100.7"));
        check_claim("203.0.113.1", &[("x-forwarded-for", "unknown")], Some("203.0.113.1"));
        check_claim("203.0.113.1", &[], None);
        check_claim("10.1.2.3", &[("x-forwarded-for", "198.51.100.7")], None);
    }

    #[track_caller]
    fn check_https(peer: &str, fields: &[(&'static str, &'static str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, axum::http::HeaderValue::from_static(value));
        }
        let trusted = PROXIES.map(|text| text.parse().unwrap());
        assert_eq!(over_https(peer.parse().unwrap(), &headers, &trusted), expected, "{fields:?}");
    }

    #[test]
    fn a_trusted_proxy_says_how_it_was_reached() {
        check_https("10.1.2.3", &[("x-forwarded-proto", "https")], true);
        check_https("10.1.2.3", &[("x-forwarded-proto", "HTTPS")], true);
        check_https("10.1.2.3", &[("forwarded", "for=203.0.113.9;proto=https")], true);
        check_https("10.1.2.3", &[("forwarded", "for=203.0.113.9;proto=\"https\"")], true);
        check_https("10.1.2.3", &[], false);
        check_https("10.1.2.3", &[("x-forwarded-proto", "http")], false);
        check_https("10.1.2.3", &[("forwarded", "for=203.0.113.9")], false);
        // What the client wrote stands before what the proxy wrote.
        check_https("10.1.2.3", &[("x-forwarded-proto", "https, http")], false);
        let both = [("x-forwarded-proto", "https"), ("forwarded", "for=203.0.113.9;proto=http")];
        check_https("10.1.2.3", &both, false);
        check_https("203.0.113.1", &[("x-forwarded-proto", "https")], false);
    }

    #[test]
    fn nobody_else_does() {
        check_from("203.0.113.1", &[("x-forwarded-for", "198.51.100.7")], "203.0.113.1");
        check_from("192.0.2.2", &[("forwarded", "for=198.51.100.7")], "192.0.2.2");
        check_from("11.0.0.1", &[("x-forwarded-for", "10.0.0.1")], "11.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        check(&[("x-forwarded-for", "198.51.100.7, 203.0.113.9")], "203.0.113.9");
        check(&[("x-forwarded-for", "127.0.0.1,203.0.113.9, 10.9.9.9")], "203.0.113.9");
        check(
            &[("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "203.0.113.9")],
            "203.0.113.9",
        );
        check(&[("forwarded", "for=198.51.100.7, for=203.0.113.9")], "203.0.113.9");
        // A field of the other kind is passed through by a proxy that does not know it.
        check(&[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.7")], "10.1.2.3");
        check(
            &[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")],
            "203.0.113.9",
        );
    }

    #[test]
    fn what_cannot_be_read_ends_at_the_proxy_before() {
        for odd in ["", "unknown", "203.0.113.9 x", "999.1.1.1", "a,", "203.0.113.9;x", "\u{fc}"] {
            check(&[("x-forwarded-for", odd)], "10.1.2.3");
        }
        check(&[("x-forwarded-for", "203.0.113.9, _hidden, 10.9.9.9")], "10.9.9.9");
        check(&[("forwarded", "for=\"_gazonk\"")], "10.1.2.3");
        check(&[("forwarded", "by=203.0.113.9")], "10.1.2.3");
        check(&[("forwarded", "for=\"203.0.113.9")], "10.1.2.3");
    }

    #[test]
    fn endless_lists_end() {
        let long = format!("203.0.113.9{}", ", 10.0.0.1".repeat(5_000));
        check(&[("x-forwarded-for", &long)], "10.0.0.1");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let one = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(one("2001:db8::1"), one("2001:db8::2"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(one("::1"), "::1");
    }

    #[test]
    fn networks() {
        for good in ["0.0.0.0/0", "::/0", "10.1.2.3", "fe80::1/64"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "proxy.example", "10.0.0.0/-1", "/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()), "all of version 4 is not version 6");
    }
}
