//! What becomes of what was seen, without a stack.

use super::judge::{failures, is_limited_from_outside, why_invalid};
use super::*;
use crate::measure::result::ServiceUse;

#[test]
fn what_k6_could_not_send_says_nothing_of_the_service() {
    let sent = Run { requests: 10, ..Run::default() };
    let reason = |run: Run, share| why_invalid(&Run { generator_cpu_share: share, ..run });
    let said = |run, share| reason(run, share).unwrap_or_default();
    assert_eq!(reason(sent.clone(), 0.8), None);
    assert!(said(sent.clone(), 0.93).contains("93% of its core"));
    assert!(said(Run { dropped: 3, ..sent }, 0.1).contains("dropped 3 iterations"));
    assert!(said(Run::default(), 0.1).contains("not one request"));
}

#[test]
fn refusals_are_no_errors() {
    let work = Work { answers: [(200, 900), (422, 90), (503, 4)].into(), ..Work::default() };
    // Two of what the instances answered came too late for wrk; five came from NGINX.
    let run = Run { not_success: 92 + 5, wrong: 3, work, ..Run::default() };
    assert_eq!(failures(&run), (4, 3 + 3));
    assert_eq!(failures(&Run { not_success: 90, ..run }), (4, 3));
}

#[test]
fn a_limit_from_outside_is_noticed() {
    let mut run = Run { generator_cpu_share: 0.2, idle_share: 0.1, ..Run::default() };
    assert!(!is_limited_from_outside(&run));
    run.idle_share = 0.01;
    assert!(is_limited_from_outside(&run));
    run.services.push(ServiceUse { throttled_share: 0.9, ..ServiceUse::default() });
    assert!(!is_limited_from_outside(&run));
    run.generator_cpu_share = 0.9;
    assert!(is_limited_from_outside(&run));
}

#[test]
fn settings_of_the_declaration_win() {
    let mut setup =
        Setup::default().with("SERVER_TIMING=off,pg.deadlock_timeout=1s,fsync_ms=5").expect("right");
    setup.guiche = Some("/bin/true".into());
    let options = options(&setup, Some(Cores { stack: 0, k6: 1 })).expect("right");
    assert_eq!(options.api_env.last(), Some(&("SERVER_TIMING".to_owned(), "off".to_owned())));
    assert_eq!(options.pg.settings.last(), Some(&("deadlock_timeout".to_owned(), "1s".to_owned())));
    assert_eq!((options.fsync_delay, options.envelope), (Duration::from_millis(5), true));
}
