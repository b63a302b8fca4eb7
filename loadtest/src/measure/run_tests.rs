//! What becomes of what was seen, without a stack.

use super::*;
use crate::measure::result::ServiceUse;

#[test]
fn what_k6_could_not_send_says_nothing_of_the_service() {
    let sent = Outcome { requests: 10, ..Outcome::default() };
    assert_eq!(why_invalid(&sent, 0.8), None);
    let reason = |outcome: &Outcome, share| why_invalid(outcome, share).unwrap_or_default();
    assert!(reason(&sent, 0.93).contains("93% of its core"));
    assert!(reason(&Outcome { dropped: 3, ..sent }, 0.1).contains("dropped 3 iterations"));
    assert!(reason(&Outcome::default(), 0.1).contains("not one request"));
}

#[test]
fn refusals_are_no_errors() {
    let work = Work { answers: [(200, 900), (422, 90), (503, 4)].into(), ..Work::default() };
    // Two of what the instances answered came too late for wrk; five came from NGINX.
    let outcome = Outcome { not_success: 92 + 5, wrong: 3, ..Outcome::default() };
    assert_eq!(failures(&work, &outcome), (4, 3 + 3));
    assert_eq!(failures(&work, &Outcome { not_success: 90, ..outcome }), (4, 3));
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
