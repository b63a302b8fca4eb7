//! Whether this machine has ports enough for Docker's proxy.
//!
//! What is published is reached on loopback through Docker's userland proxy, which opens a
//! connection to NGINX for each of a caller's and is the first to close it: its port then rests for
//! a minute. Linux looks through the ports of one parity before it turns to the other half, so once
//! more connections rest than one half has, every new one searches all of them: milliseconds at
//! first, seconds in the end, none of them the service's. On loopback alone resting ports are used
//! again at once (`net.ipv4.tcp_tw_reuse`, see ip-sysctl in the kernel's documentation).

use std::fs;

use super::plan::Plan;
use crate::report::text::grouped;

/// How long a closed connection keeps its port (Linux's `TCP_TIMEWAIT_LEN`).
const REST_SECONDS: u64 = 60;

/// Returns what to know about the figures of a contest that is played through the proxy of this machine;
/// `None` where it has ports enough, or does not say.
pub fn caveat(plan: &Plan) -> Option<String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
    judge(plan, &read("ip_local_port_range")?, &read("tcp_tw_reuse")?)
}

fn judge(plan: &Plan, range: &str, reuse: &str) -> Option<String> {
    let mut bounds = range.split_whitespace().map_while(|bound| bound.parse::<u64>().ok());
    let (lowest, highest) = (bounds.next()?, bounds.next()?);
    let ports = (highest + 1).checked_sub(lowest)?;
    let resting = plan.expected_total().min(plan.peak_per_second() * REST_SECONDS);
    if reuse.trim() == "1" || resting <= ports / 2 {
        return None;
    }
    Some(format!(
        "Docker’s proxy takes a port for each request, and up to {} of them rest for a minute: more than half \
         of this machine’s {}, so that p98 and p99 show the kernel looking for a free one. Without that: \
         sysctl -w net.ipv4.tcp_tw_reuse=1",
        grouped(resting),
        grouped(ports),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_contest_needs_more_than_half_of_the_usual_ports() {
        let told = judge(&Plan::FULL, "32768\t60999\n", "2\n").expect("too few ports");
        assert!(told.contains("up to 20,400 ") && told.contains("28,232"), "{told}");
    }

    #[test]
    fn there_is_nothing_to_say_where_ports_are_enough() {
        assert_eq!(judge(&Plan::QUICK, "32768 60999", "2"), None, "few requests");
        assert_eq!(judge(&Plan::FULL, "1024 65535", "2"), None, "a wide range");
        assert_eq!(judge(&Plan::FULL, "32768 60999", "1"), None, "ports are used again");
        assert_eq!(judge(&Plan::FULL, "no numbers", "2"), None, "not known");
    }
}
