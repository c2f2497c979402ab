#![no_std]
#![no_main]
#![forbid(unsafe_code)]

stage::component!(Seams, seams);
