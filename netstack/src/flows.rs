//! From a flow to its connection: an open-addressed hash table of fixed size.
//!
//! Twice as many places as there can be connections, so a probe always ends; deletion shifts
//! back what follows, so there are no tombstones.

use crate::frame::Flow;

/// Most connections of all listeners together; socket numbers are below this.
pub const MAX_CONNECTIONS: usize = 256;
const PLACES: usize = 2 * MAX_CONNECTIONS;

/// The table. Key 0 marks an empty place.
pub struct Flows {
    keys: [u64; PLACES],
    connections: [u16; PLACES],
    seed: u64,
    len: usize,
}

impl Flows {
    /// `seed`: so that a stranger cannot choose which flows collide.
    pub fn new(seed: u64) -> Flows {
        Flows {
            keys: [0; PLACES],
            connections: [0; PLACES],
            seed: seed | 1,
            len: 0,
        }
    }

    fn home(&self, key: u64) -> usize {
        let mixed = (key ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (self.seed << 1));
        (mixed >> 40) as usize % PLACES
    }

    fn place(&self, key: u64) -> Result<usize, usize> {
        let mut at = self.home(key);
        loop {
            match self.keys[at] {
                0 => return Err(at),
                k if k == key => return Ok(at),
                _ => at = (at + 1) % PLACES,
            }
        }
    }

    pub fn find(&self, flow: Flow) -> Option<usize> {
        let at = self.place(flow.key()).ok()?;
        Some(usize::from(self.connections[at]))
    }

    /// Enters a flow that is not in the table yet. `false` if it is, or the table is full.
    pub fn insert(&mut self, flow: Flow, connection: usize) -> bool {
        match self.place(flow.key()) {
            Err(at) if self.len < MAX_CONNECTIONS => {
                self.keys[at] = flow.key();
                self.connections[at] = connection as u16;
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    pub fn remove(&mut self, flow: Flow) {
        let Ok(mut hole) = self.place(flow.key()) else {
            return;
        };
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) % PLACES;
            let key = self.keys[at];
            if key == 0 {
                break;
            }
            // An entry may move back into the hole if that is not before its home.
            let from_home = (at + PLACES - self.home(key)) % PLACES;
            let to_hole = (at + PLACES - hole) % PLACES;
            if from_home >= to_hole {
                self.keys[hole] = key;
                self.connections[hole] = self.connections[at];
                hole = at;
            }
        }
        self.keys[hole] = 0;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn behaves_like_a_map(seed: u64, steps in prop::collection::vec((0u8..3, 0u16..400), 0..2000)) {
            let mut table = Flows::new(seed);
            let mut model = HashMap::new();
            for (step, port) in steps {
                let flow = Flow { remote: [10, 0, 0, 1], remote_port: port + 1, local_port: 80 };
                match step {
                    0 => {
                        let fits = !model.contains_key(&port) && model.len() < MAX_CONNECTIONS;
                        prop_assert_eq!(table.insert(flow, usize::from(port)), fits);
                        if fits {
                            model.insert(port, usize::from(port));
                        }
                    }
                    1 => {
                        table.remove(flow);
                        model.remove(&port);
                    }
                    _ => prop_assert_eq!(table.find(flow), model.get(&port).copied()),
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for (port, connection) in model {
                let flow = Flow { remote: [10, 0, 0, 1], remote_port: port + 1, local_port: 80 };
                prop_assert_eq!(table.find(flow), Some(connection));
            }
        }
    }
}
