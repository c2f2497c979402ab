//! The others: four allocators, each loaded beside the process's own with names of its own, and
//! the system calls below them.

use std::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn mmap(
        at: *mut c_void,
        bytes: usize,
        access: c_int,
        flags: c_int,
        file: c_int,
        from: i64,
    ) -> *mut c_void;
    fn munmap(at: *mut c_void, bytes: usize) -> c_int;
}

/// All names found now; seen by nobody else; its own names before the process's.
const FLAGS: c_int = 0x2 | 0x8;

/// `malloc` and `free` of one library.
#[derive(Clone, Copy)]
pub struct Allocator {
    alloc: unsafe extern "C" fn(usize) -> *mut u8,
    free: unsafe extern "C" fn(*mut u8),
}

impl Allocator {
    fn load(library: &CStr, alloc: &CStr, free: &CStr) -> Option<Self> {
        // SAFETY: these libraries' initialisers are made to run in any process, and the two
        // functions have the types that every C library gives them.
        unsafe {
            let library = dlopen(library.as_ptr(), FLAGS);
            if library.is_null() {
                return None;
            }
            let [alloc, free] = [alloc, free].map(|name| dlsym(library, name.as_ptr()));
            if alloc.is_null() || free.is_null() {
                return None;
            }
            Some(Self {
                alloc: core::mem::transmute::<*mut c_void, unsafe extern "C" fn(usize) -> *mut u8>(
                    alloc,
                ),
                free: core::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut u8)>(free),
            })
        }
    }

    #[inline(always)]
    pub fn alloc(self, bytes: usize) -> *mut u8 {
        // SAFETY: takes a number.
        let start = unsafe { (self.alloc)(bytes) };
        assert!(!start.is_null());
        start
    }

    /// # Safety
    /// `start` came from this allocator, and is given up.
    #[inline(always)]
    pub unsafe fn free(self, start: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { (self.free)(start) }
    }
}

/// A name for people, the library, its two functions.
const LIBRARIES: [(&str, &CStr, &CStr, &CStr); 4] = [
    ("glibc", c"libc.so.6", c"malloc", c"free"),
    ("jemalloc", c"libjemalloc.so.2", c"malloc", c"free"),
    ("mimalloc", c"libmimalloc.so.2", c"mi_malloc", c"mi_free"),
    ("tcmalloc", c"libtcmalloc_minimal.so.4", c"malloc", c"free"),
];

/// All four; an error names the library that could not be loaded.
pub fn load() -> Result<Vec<(&'static str, Allocator)>, String> {
    let load = |(who, library, alloc, free): (&'static str, &'static CStr, _, _)| {
        let loaded = Allocator::load(library, alloc, free);
        let missing = || format!("{} cannot be loaded", library.to_string_lossy());
        Ok((who, loaded.ok_or_else(missing)?))
    };
    LIBRARIES.into_iter().map(load).collect()
}

/// Memory from the kernel, by `mmap` and `munmap`.
#[derive(Clone, Copy)]
pub struct Pages;

impl Pages {
    pub fn map(bytes: usize) -> *mut u8 {
        const READ_WRITE: c_int = 3;
        const PRIVATE_ANONYMOUS: c_int = 0x22;
        // SAFETY: new memory, wherever there is room.
        let start = unsafe {
            mmap(
                core::ptr::null_mut(),
                bytes,
                READ_WRITE,
                PRIVATE_ANONYMOUS,
                -1,
                0,
            )
        };
        assert!(start as isize != -1);
        start.cast()
    }

    /// # Safety
    /// `start` came from [`Pages::map`] with as many bytes, and is given up.
    pub unsafe fn unmap(start: *mut u8, bytes: usize) {
        // SAFETY: the caller's promise.
        assert_eq!(unsafe { munmap(start.cast(), bytes) }, 0);
    }
}
