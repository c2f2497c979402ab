//! Why an upload is not taken: a status of HTTP and a sentence.

use cistern_image::Full;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: u16,
    pub why: &'static str,
}

impl Refusal {
    const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    pub const BUSY: Self = Self::new(503, "four uploads wait already; try again in a moment");
    pub const NO_MEMORY: Self = Self::new(507, "there is no memory for these photographs");
    pub const TOO_LONG: Self = Self::new(413, "the upload is longer than 48 MiB");
    pub const FILE_TOO_LONG: Self = Self::new(413, "a photograph's file is longer than 16 MiB");
    pub const TOO_MANY: Self = Self::new(413, "there are more than 12 photographs");
    pub const TOO_FEW: Self = Self::new(422, "a panorama takes two photographs or more");
    pub const NO_FORM: Self = Self::new(415, "the upload is not a form (multipart/form-data)");
    pub const BROKEN: Self = Self::new(400, "the upload is a malformed form");
    pub const ENDED_EARLY: Self = Self::new(400, "the upload ended before its form did");
    pub const MORE_THAN_SAID: Self = Self::new(400, "the upload is longer than it said");
}

impl From<cistern_form::Error> for Refusal {
    fn from(_: cistern_form::Error) -> Self {
        Self::BROKEN
    }
}

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Self::NO_MEMORY
    }
}
