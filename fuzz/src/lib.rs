//! What is tried with hostile input, each part against a plain model: nothing may panic, hang, take more memory than
//! its bound, or be accepted that the model refuses.

use cap::Cap;

mod targets;

pub use targets::*;

/// Memory that one input may take, in bytes, over what was there before it.
const BOUND: usize = 64 << 20;

#[global_allocator]
static MEMORY: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

/// Tries an input; whatever takes too much memory meanwhile ends the process.
pub fn within_bounds(input: &[u8], try_it: fn(&[u8])) {
    MEMORY.set_limit(MEMORY.allocated() + BOUND).expect("what is there is within it");
    try_it(input);
    MEMORY.set_limit(usize::MAX).expect("there is always more");
}
