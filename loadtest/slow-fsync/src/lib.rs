//! `fsync` and `fdatasync` that take longer on purpose, for experiments with slow disks.
//!
//! ```sh
//! echo 5000 > delay
//! LD_PRELOAD=target/release/libslow_fsync.so SLOW_FSYNC_FILE=delay postgres -D data
//! ```
//!
//! Both sleep for as many microseconds as the file `SLOW_FSYNC_FILE` says at that moment, and then ask the
//! kernel for the real thing, so that what was promised to be on the disk is. Without the variable nothing is
//! delayed.

use std::ffi::OsString;
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

/// Read at each sync, which takes a hundredth of what the sync does.
fn delay() -> Duration {
    static FILE: OnceLock<Option<OsString>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("SLOW_FSYNC_FILE"));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    Duration::from_micros(text.and_then(|text| text.trim().parse().ok()).unwrap_or(0))
}
