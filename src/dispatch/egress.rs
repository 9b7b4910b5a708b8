//! Which addresses may be called. A server that calls whatever URL it is given is a way into the network it stands in; the
//! policy is asked about every address of every connection, after the name was resolved, so that no spelling of a host
//! and no name server can talk around it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// The policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Egress {
    /// Every address. Right where those who register apps may use the server's network anyway.
    #[default]
    Open,
    /// Addresses of these networks and, where `public` is set, of the public internet.
    Listed {
        /// Whether the public internet may be called.
        public: bool,
        /// Networks that may be called, whatever they are.
        networks: Vec<IpNet>,
    },
}

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read the egress policy: `{0}` is neither `open`, nor a list of `publicOnly` and networks such as `10.1.0.0/16`"
)]
pub struct EgressError(String);

impl FromStr for Egress {
    type Err = EgressError;

    /// `open`, or a comma-separated list of `publicOnly` and networks.
    fn from_str(text: &str) -> Result<Egress, EgressError> {
        if text.trim() == "open" {
            return Ok(Egress::Open);
        }
        let mut public = false;
        let mut networks = Vec::new();
        for item in text.split(',').map(str::trim) {
            match (item, item.parse::<IpNet>(), item.parse::<IpAddr>()) {
                ("publicOnly", _, _) => public = true,
                (_, Ok(network), _) => networks.push(network.trunc()),
                (_, _, Ok(address)) => networks.push(address.into()),
                _ => return Err(EgressError(item.chars().take(60).collect())),
            }
        }
        Ok(Egress::Listed { public, networks })
    }
}

impl Egress {
    /// The public internet and nothing else.
    pub fn public_only() -> Egress {
        Egress::Listed { public: true, networks: Vec::new() }
    }

    /// Whether this address may be dialled.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Egress::Open => true,
            Egress::Listed { public, networks } => {
                networks.iter().any(|network| network.contains(&address)) || (*public && is_public(address))
            }
        }
    }
}

/// Whether an address is on the public internet. IPv6 addresses that carry an IPv4 address are judged by that one.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// IPv4 networks that are not the internet (the registry of special-purpose addresses, RFC 6890 and its successors).
const SPECIAL_V4: [([u8; 4], u8); 16] = [
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // carriers' shared space
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, and the metadata services of clouds
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 52, 193, 0], 24), // AMT
    ([192, 88, 99, 0], 24),  // 6to4 relays
    ([192, 168, 0, 0], 16),  // private
    ([198, 18, 0, 0], 15),   // benchmarks
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 3),     // multicast, reserved, broadcast
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !SPECIAL_V4.iter().any(|(network, length)| {
        let mask = u32::MAX << (32 - u32::from(*length));
        bits & mask == u32::from_be_bytes(*network)
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        // NAT64 with the well-known prefix: networks without IPv4 reach the whole IPv4 internet so.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => embedded(g, h),
        // 6to4 wraps the IPv4 address of a router.
        (0x2002, _) => embedded(b, c),
        // Protocol assignments (Teredo and ORCHID among them), documentation.
        (0x2001, 0..=0x1ff) | (0x2001, 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // Global unicast is 2000::/3. Everything else is special: loopback, unique local, link-local, multicast, discard.
        _ => (0x2000..=0x3fff).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn what_is_not_the_internet_is_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.1.2.3",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:1::",
            "2001::1",
            "2001:0:7f00:1::",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(!Egress::public_only().allows(ip(text)), "{text} was allowed");
            assert!(Egress::Open.allows(ip(text)));
        }
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:200::1",
        ] {
            assert!(Egress::public_only().allows(ip(text)), "{text} was refused");
        }
    }

    #[test]
    fn lists_are_what_they_say() {
        let policy: Egress = "10.1.0.0/16, 127.0.0.1,fd00::/8".parse().expect("a policy");
        for (text, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fd00::1", true),
            ("8.8.8.8", false),
        ] {
            assert_eq!(policy.allows(ip(text)), allowed, "{text}");
        }
        let both: Egress = "publicOnly,10.1.0.0/16".parse().expect("a policy");
        assert!(both.allows(ip("8.8.8.8")) && both.allows(ip("10.1.0.1")) && !both.allows(ip("10.2.0.1")));
        assert_eq!("open".parse(), Ok(Egress::Open));
        assert_eq!("publicOnly".parse(), Ok(Egress::public_only()));
        for text in ["", "closed", "10.0.0.0/33", "publicOnly,", "open,10.0.0.0/8"] {
            assert!(text.parse::<Egress>().is_err(), "{text} was taken");
        }
    }
}
