//! Finding the virtio structures through the capability list of the function's configuration
//! page. Everything read there is the device's claim. Source: VIRTIO 1.2, section 4.1.4.

use crate::mmio::Window;

/// The four structures that the driver uses.
#[derive(Clone, Copy, Debug)]
pub struct Structures {
    pub common: Window,
    pub notify: Window,
    /// Bytes between the notification registers of two queues.
    pub notify_step: u32,
    pub device: Window,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The function has no capability list.
    NoCapabilities,
    /// The structure is absent, or lies outside the memory that was granted.
    Structure(&'static str),
}

impl core::fmt::Display for Missing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Missing::NoCapabilities => f.write_str("the PCI function has no capability list"),
            Missing::Structure(name) => write!(f, "no usable virtio {name} structure"),
        }
    }
}

const VENDOR: u8 = 9;
/// A capability takes at least four bytes, so a list without a loop is no longer than this.
const MOST: usize = 48;

/// Walks the capability list. `bar` answers the window of a base address register that was
/// granted. The first usable structure of a kind counts.
pub fn find(config: &Window, bar: impl Fn(u8) -> Option<Window>) -> Result<Structures, Missing> {
    let status = config.read16(6);
    if status == u16::MAX || status & 0x10 == 0 {
        return Err(Missing::NoCapabilities);
    }
    let (mut common, mut notify, mut device) = (None, None, None);
    let mut at = usize::from(config.read8(0x34) & 0xfc);
    for _ in 0..MOST {
        if at < 0x40 {
            break;
        }
        if config.read8(at) == VENDOR {
            let window = bar(config.read8(at + 4))
                .and_then(|b| b.part(config.read32(at + 8), config.read32(at + 12)));
            match (config.read8(at + 3), window) {
                (1, Some(w)) if w.bytes() >= 56 => common = common.or(Some(w)),
                (2, Some(w)) => notify = notify.or(Some((w, config.read32(at + 16)))),
                (4, Some(w)) if w.bytes() >= 6 => device = device.or(Some(w)),
                _ => {}
            }
        }
        at = usize::from(config.read8(at + 1) & 0xfc);
    }
    let (notify, notify_step) = notify.ok_or(Missing::Structure("notification"))?;
    Ok(Structures {
        common: common.ok_or(Missing::Structure("common configuration"))?,
        notify,
        notify_step,
        device: device.ok_or(Missing::Structure("device configuration"))?,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn window(memory: &mut [u32]) -> Window {
        // SAFETY: the tests keep the memory and use nothing else of it meanwhile.
        unsafe { Window::at(memory.as_mut_ptr() as usize, size_of_val(memory)) }
    }

    /// The list that QEMU's virtio-net shows.
    fn page() -> Vec<u32> {
        let mut p = vec![0u32; 1024];
        p[1] = 0x0010_0000;
        p[0x34 / 4] = 0x84;
        let mut put = |at: usize, kind: u32, next: u32, offset: u32, len: u32| {
            p[at / 4] = 0x09 | next << 8 | 0x10 << 16 | kind << 24;
            p[at / 4 + 1] = 4;
            p[at / 4 + 2] = offset;
            p[at / 4 + 3] = len;
            if kind == 2 {
                p[at / 4 + 4] = 4;
            }
        };
        put(0x84, 5, 0x70, 0, 0);
        put(0x70, 2, 0x60, 0x3000, 0x1000);
        put(0x60, 4, 0x50, 0x2000, 0x1000);
        put(0x50, 3, 0x40, 0x1000, 0x1000);
        put(0x40, 1, 0, 0, 0x1000);
        p
    }

    #[test]
    fn finds_the_structures() {
        let (mut p, mut bar4) = (page(), vec![0u32; 4096]);
        let bar4 = window(&mut bar4);
        let s = find(&window(&mut p), |n| (n == 4).then_some(bar4)).unwrap();
        assert_eq!(s.notify_step, 4);
        assert_eq!(s.common.bytes(), 0x1000);
    }

    #[test]
    fn names_what_is_missing() {
        let mut p = page();
        let none = find(&window(&mut p), |_| None);
        assert_eq!(none.unwrap_err(), Missing::Structure("notification"));
        p[1] = 0;
        assert_eq!(
            find(&window(&mut p), |_| None).unwrap_err(),
            Missing::NoCapabilities
        );
        let (mut p, mut bar4) = (page(), vec![0u32; 4096]);
        let bar4 = window(&mut bar4);
        p[0x40 / 4 + 2] = 0xffff_f000;
        let outside = find(&window(&mut p), |_| Some(bar4));
        assert_eq!(
            outside.unwrap_err(),
            Missing::Structure("common configuration")
        );
    }

    proptest! {
        #[test]
        fn any_page_ends(mut p in prop::collection::vec(any::<u32>(), 64..1024)) {
            p[1] |= 0x0010_0000;
            let mut memory = vec![0u32; 64];
            let bar = window(&mut memory);
            let _ = find(&window(&mut p), |_| Some(bar));
        }
    }
}
