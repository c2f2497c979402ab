//! Tests of the capability system by real system calls: the program takes the scheduler's and the
//! memory server's place, so that nothing runs beside it.
//!
//! Guarantees: a test for every operation of `abi::op::INTERFACES`, its success and every error
//! that the table lists, and none that it does not; after many rounds over all RAM, the memory and
//! the number of capabilities that there were before.
//! Trusts: the table, which the tests are checked against.

#![no_std]
