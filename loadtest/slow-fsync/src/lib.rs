//! `fsync` and `fdatasync` that take longer on purpose, for experiments with slow disks.
//!
//! ```sh
//! LD_PRELOAD=target/release/libslow_fsync.so SLOW_FSYNC_US=5000 postgres -D data
//! ```
//!
//! Both sleep for `SLOW_FSYNC_US` microseconds and then ask the kernel for the real thing, so
//! that what was promised to be on the disk is. Without the variable nothing is delayed.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use libc::{SYS_fdatasync, SYS_fsync, c_int, c_long};

/// Syncs a file, later. The C library's contract: 0, or -1 with `errno` set.
// SAFETY: the name and the signature are those of fsync(2), which it stands in for.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    sync(SYS_fsync, fd)
}

/// Syncs a file's data, later. The C library's contract: 0, or -1 with `errno` set.
// SAFETY: the name and the signature are those of fdatasync(2), which it stands in for.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(SYS_fdatasync, fd)
}

fn sync(call: c_long, fd: c_int) -> c_int {
    let delay = delay();
    if !delay.is_zero() {
        // Signals interrupt it, and it goes on with what is left.
        thread::sleep(delay);
    }
    // SAFETY: both calls take one file descriptor and no memory; a wrong one is answered with
    // EBADF. `syscall` itself sets `errno`, after the sleep, so that it is the call's.
    let outcome = unsafe { libc::syscall(call, fd) };
    if outcome == 0 { 0 } else { -1 }
}

/// Read once: a process' environment does not change, and a server syncs often.
fn delay() -> Duration {
    static DELAY: OnceLock<Duration> = OnceLock::new();
    *DELAY.get_or_init(|| {
        let micros = std::env::var("SLOW_FSYNC_US").ok().and_then(|micros| micros.parse().ok());
        Duration::from_micros(micros.unwrap_or(0))
    })
}
