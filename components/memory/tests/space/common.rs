//! A space on the board, and that nothing is left of it.

use crate::board::{BASE, Model, PAGE};
use memory::{Settings, Space};

pub const BYTES: u64 = 24 << 20;
pub const P: usize = PAGE as usize;
pub const LARGE: usize = 2 << 20;

pub fn space_with(change: impl FnOnce(&mut Settings)) -> (Space<Model>, u64) {
    let model = Model::new(BYTES);
    let count = model.caps.count();
    let mut settings = Model::settings(BYTES);
    change(&mut settings);
    (Space::new(model, &settings).unwrap(), count)
}

pub fn space() -> (Space<Model>, u64) {
    space_with(|_| {})
}

/// Everything comes back: as many capabilities as before, and nothing mapped.
pub fn close(space: Space<Model>, count: u64) {
    let model = space.close();
    assert_eq!(model.caps.count(), count);
    assert_eq!(model.walk(BASE), None);
}
