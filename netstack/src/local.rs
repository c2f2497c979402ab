//! The interface's own affairs: its address, and DHCP.

use crate::address::Fixed;
use crate::deadlines::{Micros, NEVER};
use crate::pack::Pool;
use crate::stack::{RETRY, Stack};
use crate::wire::Wire;
use core::ops::{Deref, DerefMut};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::IpCidr;

impl<P: DerefMut<Target = [u8]>, D: Deref<Target = [u8]>> Stack<P, D> {
    pub(crate) fn set_address(&mut self, fixed: Option<Fixed>) {
        self.fixed = fixed;
        self.station.ip = fixed.map(|f| f.ip.octets());
        self.interface.update_ip_addrs(|list| {
            list.clear();
            // A list of at least one place: the push of the only entry succeeds.
            let _ = fixed.is_some_and(|f| list.push(IpCidr::Ipv4(f.cidr())).is_ok());
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = fixed.and_then(|f| f.gateway) {
            // Fails only when the table is full, and it is empty.
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }

    pub(crate) fn tick_local(&mut self, now: Micros, pool: &mut impl Pool<Page = P>) {
        let time = Instant::from_micros(now);
        let before = self.outgoing.len();
        self.outgoing.now = now;
        self.outgoing.unsent = 0;
        let mut wire = Wire {
            incoming: None,
            outgoing: &mut self.outgoing,
            pool,
            starved: false,
        };
        // The only socket here is DHCP's, and it sends one frame at a time.
        self.interface.poll_egress(time, &mut wire, &mut self.local);
        self.counters.sent += (self.outgoing.len() - before) as u64;
        self.local_at = NEVER;
        let Some(handle) = self.dhcp else {
            return;
        };
        match self.local.get_mut::<dhcpv4::Socket>(handle).poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                let address = lease.address;
                let offered = Fixed::checked(address.address(), address.prefix_len(), lease.router);
                if offered.is_some() {
                    self.set_address(offered);
                }
            }
            Some(dhcpv4::Event::Deconfigured) => self.set_address(None),
            None => {}
        }
        if self.fixed.is_none() && now >= self.dhcp_until {
            self.local.remove(handle);
            self.dhcp = None;
            self.station.dhcp = false;
            self.set_address(Some(self.addressing.fixed));
            return;
        }
        let wanted = self.interface.poll_at(time, &self.local);
        let at = wanted.map_or(NEVER, |t| t.total_micros().max(now + RETRY));
        self.local_at = match self.fixed {
            Some(_) => at,
            None => at.min(self.dhcp_until.max(now + RETRY)),
        };
    }
}
