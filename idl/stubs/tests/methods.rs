//! The runtime calls two interfaces by raw numbers, because the stubs are built on it: the numbers
//! are those of the interface files.

use stubs::{cbuf, sched};

#[test]
fn the_runtime_knows_the_methods_of_cbuf() {
    use rt::cbuf::method;
    assert_eq!(method::COLLECT, cbuf::method::COLLECT);
    assert_eq!(method::MAP, cbuf::method::MAP);
    assert_eq!(method::RELINQUISH, cbuf::method::RELINQUISH);
    assert_eq!(method::PHYSICAL, cbuf::method::PHYSICAL);
    assert_eq!(method::MEMORY, cbuf::method::MEMORY);
    assert_eq!(method::SEAL, cbuf::method::SEAL);
}

#[test]
fn the_runtime_knows_the_methods_of_sched() {
    use rt::sched::method;
    assert_eq!(method::YIELD_NOW, sched::method::YIELD_NOW);
    assert_eq!(method::BLOCK, sched::method::BLOCK);
    assert_eq!(method::BLOCK_ON, sched::method::BLOCK_ON);
    assert_eq!(method::WAKE, sched::method::WAKE);
    assert_eq!(method::WAIT_IRQ, sched::method::WAIT_IRQ);
    assert_eq!(method::KERNEL_STAT, sched::method::KERNEL_STAT);
    assert_eq!(method::PRIORITY, sched::method::PRIORITY);
}
