//! Which address we have: fixed by the component's arguments, or asked for by DHCP with a
//! fixed one to fall back to.
//!
//! Arguments: `ip=A.B.C.D/N`, `gw=A.B.C.D` for the fixed address (default 10.0.2.15/24 by
//! 10.0.2.2, what emulators hand out); `static` or `dhcp`. An `ip` is meant to be had: with one
//! and no `dhcp` behind it, nobody is asked. With neither, DHCP is asked first.

use crate::deadlines::Micros;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// How long DHCP may take before the fixed address is taken.
pub const PATIENCE: Micros = 3_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fixed {
    pub ip: Ipv4Address,
    pub prefix: u8,
    pub gateway: Option<Ipv4Address>,
}

impl Fixed {
    /// `None` unless it is an address that a host can have.
    pub fn checked(ip: Ipv4Address, prefix: u8, gateway: Option<Ipv4Address>) -> Option<Fixed> {
        let usable = |a: Ipv4Address| {
            !a.is_unspecified() && !a.is_broadcast() && !a.is_multicast() && !a.is_loopback()
        };
        (usable(ip) && prefix <= 32).then_some(Fixed {
            ip,
            prefix,
            gateway: gateway.filter(|g| usable(*g) && *g != ip),
        })
    }

    pub fn cidr(&self) -> Ipv4Cidr {
        Ipv4Cidr::new(self.ip, self.prefix)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addressing {
    /// Ask first.
    pub dhcp: bool,
    pub fixed: Fixed,
}

impl Default for Addressing {
    fn default() -> Self {
        Addressing {
            dhcp: true,
            fixed: Fixed {
                ip: Ipv4Address::new(10, 0, 2, 15),
                prefix: 24,
                gateway: Some(Ipv4Address::new(10, 0, 2, 2)),
            },
        }
    }
}

impl Addressing {
    /// Reads a component's arguments; `Err` holds the word that has no meaning.
    pub fn parse(arguments: &str) -> Result<Addressing, &str> {
        let mut result = Addressing::default();
        let mut fixed = result.fixed;
        for word in arguments.split_ascii_whitespace() {
            match word.split_once('=') {
                None if word == "dhcp" => result.dhcp = true,
                None if word == "static" => result.dhcp = false,
                Some(("ip", text)) => {
                    let (ip, prefix) = text.split_once('/').unwrap_or((text, "24"));
                    fixed.ip = ip.parse().map_err(|_| word)?;
                    fixed.prefix = prefix.parse().map_err(|_| word)?;
                    result.dhcp = false;
                }
                Some(("gw", text)) => fixed.gateway = Some(text.parse().map_err(|_| word)?),
                _ => return Err(word),
            }
            let checked = Fixed::checked(fixed.ip, fixed.prefix, fixed.gateway);
            result.fixed = checked.ok_or(word)?;
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_arguments() {
        assert_eq!(Addressing::parse(""), Ok(Addressing::default()));
        let given = Addressing::parse("ip=192.168.7.2/16 gw=192.168.0.1").unwrap();
        assert!(!given.dhcp);
        assert!(!Addressing::parse("static").unwrap().dhcp);
        assert!(Addressing::parse("ip=192.168.7.2/16 dhcp").unwrap().dhcp);
        assert_eq!(given.fixed.ip, Ipv4Address::new(192, 168, 7, 2));
        assert_eq!(given.fixed.prefix, 16);
        assert_eq!(given.fixed.gateway, Some(Ipv4Address::new(192, 168, 0, 1)));
    }

    #[test]
    fn names_the_word_it_does_not_understand() {
        for bad in [
            "ip=10.0.0.300",
            "ip=10.0.0.1/33",
            "ip=0.0.0.0",
            "gw=x",
            "fast",
            "ip=224.0.0.1/4",
        ] {
            assert_eq!(Addressing::parse(bad), Err(bad));
        }
    }
}
