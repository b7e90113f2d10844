//! Which addresses an outgoing HTTP request may reach.
//!
//! A URL of the configuration names a service on the Internet. If its name leads into our own
//! network, somebody wants to read what only we can reach (a metadata service, an admin page),
//! so such an address is refused unless the object says `allowPrivate: true`.
//!
//! Architecture invariant: what is judged is the address after resolution, and the connection is
//! made to the very address that was judged. A name says nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Addresses of the public Internet only.
    #[default]
    Public,
    /// Loopback and private networks as well.
    Private,
}

impl Reach {
    /// Whether this address may be reached.
    pub fn allows(self, address: IpAddr) -> bool {
        match self {
            Reach::Private => true,
            Reach::Public => is_public(address),
        }
    }
}

/// Whether the address belongs to the public Internet (the special-purpose registries of
/// RFC 6890). An IPv6 address that carries an IPv4 one is judged by that one.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match carried(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)        // this network, private, loopback
            | (100, 64..=127, _)    // carrier-grade NAT (RFC 6598)
            | (169, 254, _)         // link-local, and with it the metadata services of clouds
            | (172, 16..=31, _)     // private
            | (192, 0, 0 | 2)       // protocol assignments, documentation
            | (192, 88, 99)         // 6to4 relays
            | (192, 168, _)         // private
            | (198, 18..=19, _)     // benchmarks
            | (198, 51, 100)        // documentation
            | (203, 0, 113)         // documentation
            | (224..=255, _, _) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // Only 2000::/3 is given out to the public; taken from it are Teredo, documentation and ORCHID.
    let global = parts[0] & 0xe000 == 0x2000;
    let special = match (parts[0], parts[1]) {
        (0x2001, low) => low < 0x0200 || low == 0x0db8,
        (0x3fff, low) => low < 0x1000,
        _ => false,
    };
    global && !special
}

/// The IPv4 address inside: mapped, compatible (RFC 4291 section 2.5.5), NAT64 (RFC 6052
/// section 2.1) or 6to4 (RFC 3056 section 2). The last two really lead there.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let join = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(join(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: bool) {
        assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn public_addresses() {
        for address in ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.1.1", "2606:4700::1111"] {
            check(address, true);
        }
    }

    #[test]
    fn our_own_network() {
        for address in [
            "127.0.0.1",
            "127.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "ff02::1",
        ] {
            check(address, false);
        }
    }

    #[test]
    fn an_address_in_disguise() {
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "2001:db8::1",
        ] {
            check(address, false);
        }
        check("::ffff:8.8.8.8", true);
        check("64:ff9b::8.8.8.8", true);
    }

    #[test]
    fn private_networks_can_be_allowed() {
        assert!(Reach::Private.allows("127.0.0.1".parse().unwrap()));
        assert!(!Reach::Public.allows("127.0.0.1".parse().unwrap()));
    }
}
