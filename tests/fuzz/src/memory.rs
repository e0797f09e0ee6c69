//! Counts what the program has of the heap, so that an input that takes far more than its own size is found.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What any input may take.
const BASE: usize = 1024 * 1024;
/// What it may take for each of its bytes: a few copies, and the structures that are made of it.
const PER_BYTE: usize = 32;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counted;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Panics when `work` on an input of so many bytes takes too much at any time.
pub fn bounded(bytes: usize, work: impl FnOnce()) {
    let before = TAKEN.load(Relaxed);
    MOST.store(before, Relaxed);
    work();
    let taken = MOST.load(Relaxed).saturating_sub(before);
    let allowed = BASE + PER_BYTE * bytes;
    assert!(
        taken <= allowed,
        "{bytes} bytes took {taken}, more than {allowed}"
    );
}

fn taken(bytes: usize) {
    let now = TAKEN.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(now, Relaxed);
}

// SAFETY: all of it is the system's allocator, with the same arguments.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        TAKEN.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}
