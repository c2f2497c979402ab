//! The stack as peers and applications see it, in a simulated world.

mod card;
mod hostile;
mod link;
mod reuse;
mod simulation;
