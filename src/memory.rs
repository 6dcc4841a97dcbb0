//! How the allocator gives memory back: what a large post took must not stay with the process.
//!
//! glibc raises, whenever a mapped block is freed, the size from which a block becomes a mapping of its own, up to 32 MiB. Below it freed
//! blocks stay in the heaps of the threads that made them: with a budget of 512 MiB and 64 posts of 60 MiB at once, 1.6 GiB were resident,
//! and 1.3 GiB after the last answer. With the sizes fixed, 510 MiB were, and 30 MiB afterwards (`tests/faults/edge_memory.rs`, in its long form,
//! with and without this call).

/// Fixes the sizes. To be called before the first thread is started.
pub(crate) fn give_large_blocks_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN), (libc::M_TRIM_THRESHOLD, FREE_BYTES_MAX)] {
        // SAFETY: the call takes two numbers and sets one of the allocator's own; it refuses values that it does not know by returning 0.
        #[allow(unsafe_code)]
        let _ = unsafe { libc::mallopt(parameter, bytes) };
    }
}

/// From this size on a block is a mapping of its own and is gone when it is freed. What the pools keep is smaller.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: libc::c_int = 256 * 1024;
/// Free bytes at the end of a heap that may stay.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_BYTES_MAX: libc::c_int = 4 * 1024 * 1024;
