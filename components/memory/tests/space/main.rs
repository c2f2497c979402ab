//! What the library promises, kind by kind, on the kernel's own capability system.

#[path = "../board/mod.rs"]
mod board;
mod common;
mod demand;
mod limits;
mod mapped;
mod paging;
