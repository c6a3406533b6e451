//! The system's allocator, with a mark of the most that was held at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts bytes held and the most of them.
pub struct Peak {
    held: AtomicUsize,
    most: AtomicUsize,
}

impl Peak {
    pub const fn new() -> Self {
        Self { held: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// Forgets the mark; gives what is held.
    pub fn begin(&self) -> usize {
        let held = self.held.load(Ordering::SeqCst);
        self.most.store(held, Ordering::SeqCst);
        held
    }

    /// The most held since.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Peak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = self.held.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        self.most.fetch_max(held, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}
