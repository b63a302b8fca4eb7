//! A disk that is slower and a wall clock that is wrong on purpose, for experiments and faults.
//!
//! ```sh
//! echo 5000 > delay; echo -3600000000 > shift
//! LD_PRELOAD=target/release/libpreload.so FSYNC_DELAY_FILE=delay CLOCK_SHIFT_FILE=shift postgres -D data
//! ```
//!
//! `fsync` and `fdatasync` sleep for as many microseconds as the file `FSYNC_DELAY_FILE` says at that moment, and
//! then ask the kernel for the real thing, so that what was promised to be on the disk is. `gettimeofday` and `time`,
//! from which PostgreSQL has the time of day, are so many microseconds from the kernel's as `CLOCK_SHIFT_FILE` says;
//! clocks that only count are left alone. Without a variable nothing is changed.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use libc::{SYS_fdatasync, SYS_fsync, SYS_gettimeofday, c_int, c_long, c_void, time_t, timeval};

const MICROS: i64 = 1_000_000;

/// A file with a number, read each time that it is needed: a hundredth of what a sync takes.
struct Number {
    variable: &'static str,
    file: OnceLock<Option<OsString>>,
}

static FSYNC_DELAY: Number = Number { variable: "FSYNC_DELAY_FILE", file: OnceLock::new() };
static CLOCK_SHIFT: Number = Number { variable: "CLOCK_SHIFT_FILE", file: OnceLock::new() };

impl Number {
    /// Returns the number; 0 where there is none.
    fn read(&self) -> i64 {
        let file = self.file.get_or_init(|| std::env::var_os(self.variable));
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

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
    let delay = Duration::from_micros(FSYNC_DELAY.read().try_into().unwrap_or(0));
    if !delay.is_zero() {
        // Signals interrupt it, and it goes on with what is left.
        thread::sleep(delay);
    }
    // SAFETY: both calls take one file descriptor and no memory; a wrong one is answered with
    // EBADF. `syscall` itself sets `errno`, after the sleep, so that it is the call's.
    let outcome = unsafe { libc::syscall(call, fd) };
    if outcome == 0 { 0 } else { -1 }
}

/// Tells the time of day, shifted. The C library's contract: 0, or -1 with `errno` set.
///
/// # Safety
/// `now` and `zone` are null or point to what can be written.
// SAFETY: the name and the signature are those of gettimeofday(2), which it stands in for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(now: *mut timeval, zone: *mut c_void) -> c_int {
    // SAFETY: the caller's pointers are handed on as they are; the kernel checks them.
    let outcome = unsafe { libc::syscall(SYS_gettimeofday, now, zone) };
    // SAFETY: the kernel has just written to it, or it is null.
    if let (0, Some(now)) = (outcome, unsafe { now.as_mut() }) {
        let shifted = now.tv_sec * MICROS + now.tv_usec + CLOCK_SHIFT.read();
        (now.tv_sec, now.tv_usec) = (shifted.div_euclid(MICROS), shifted.rem_euclid(MICROS));
    }
    if outcome == 0 { 0 } else { -1 }
}

/// Tells the time of day in seconds, shifted.
///
/// # Safety
/// `seconds` is null or points to what can be written.
// SAFETY: the name and the signature are those of time(2), which it stands in for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(seconds: *mut time_t) -> time_t {
    let mut now = timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: it can be written, and no zone is asked for.
    unsafe { gettimeofday(&raw mut now, std::ptr::null_mut()) };
    // SAFETY: as the caller promises.
    if let Some(seconds) = unsafe { seconds.as_mut() } {
        *seconds = now.tv_sec;
    }
    now.tv_sec
}
