//! What settings may say, and how their mistakes are named.

use super::*;

fn with(settings: &str) -> Result<Setup> {
    let setup = Setup::default().with(settings)?;
    setup.check()?;
    Ok(setup)
}

#[test]
fn words_set_what_they_say() {
    let text = "users=16,zipf=1.5,reads=0.25,fsync_ms=5,BATCH_MAX=4,pg.wal_buffers=1MB,clients=1_000,\
                split=0.25/0.25/0.30/0.70,mode=direct";
    let setup = with(text).expect("they are right");
    assert_eq!(setup.arrivals, Arrivals::Closed { users: 16 });
    assert_eq!((setup.zipf, setup.reads, setup.clients), (1.5, 0.25, 1_000));
    assert_eq!((setup.mode, setup.split.postgres), (Mode::Direct, 0.7));
    assert_eq!(setup.fsync_delay, Duration::from_millis(5));
    let settings = setup.settings();
    for wanted in [
        ("users", "16"),
        ("fsync_ms", "5"),
        ("BATCH_MAX", "4"),
        ("pg.wal_buffers", "1MB"),
        ("split", "0.25/0.25/0.3/0.7"),
    ] {
        assert!(settings.contains(&(wanted.0.into(), wanted.1.into())), "{wanted:?}: {settings:?}");
    }
    assert!(settings.iter().all(|(key, _)| key != "connections" && key != "pace"), "{settings:?}");
}

#[test]
fn a_load_has_one_generator() {
    let arrivals = |text| with(text).expect("right").arrivals;
    assert_eq!(arrivals("connections=8"), Arrivals::Saturating { connections: 8 });
    assert_eq!(arrivals("connections=8,pace=saturating"), Arrivals::Saturating { connections: 8 });
    assert_eq!(arrivals("connections=8,pace=contest"), Arrivals::Contest);
}

#[test]
fn mistakes_are_named() {
    for (text, says) in [
        ("users=0", "users=0: expected 1 to 10000"),
        ("users=1.5", "expected a whole number"),
        ("rate=fast", "rate=fast: expected a number"),
        ("rate=10000,timeout_ms=1000", "11001 callers may wait at once"),
        ("connection=4", "\"connection\" is none of users, rate"),
        ("connections=0", "at least 1"),
        ("connections=many", "whole number"),
        ("split=0.5/0.5/0.5/0.5", "the contest allows 1.5"),
        ("mode=fast", "mode=fast: expected one of direct, serial, batched"),
        ("users=4,keyed=true", "keyed goes with connections"),
        ("connections=4,keyed=yes", "expected one of false, true, timed"),
        ("FOO_BAR=1", "FOO_BAR is no setting of the service; there are LISTEN, "),
        ("BATCHMAX=4", "BATCHMAX is no setting of the service; there are LISTEN, "),
        ("BATCH_MAX=0", "BATCH_MAX=0: expected a whole number from 1 to "),
        ("LOG_FORMAT=xml", "LOG_FORMAT=xml: expected "),
        ("color=red", "\"color\" is none of"),
        ("mode", "\"mode\" is not key=value"),
        ("clients=1,flood=5", "a flood is told from the load of other clients"),
        ("users=9900,flood=1000,timeout_ms=500", "10451 callers may wait at once"),
    ] {
        let error = format!("{:#}", with(text).expect_err(text));
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn there_is_a_caller_for_every_arrival_until_the_first_gives_up() {
    assert_eq!(with("users=7").expect("right").callers(), 7);
    assert_eq!(with("rate=1000,timeout_ms=400").expect("right").callers(), 441);
}

#[test]
fn slices_are_short_but_no_quota_is_below_what_the_kernel_takes() {
    let mut setup = Setup::default();
    assert_eq!((setup.scaled_split().api, setup.period()), (0.05, Duration::from_millis(20)));
    setup.scale(Some(10.0), None).expect("right");
    assert_eq!(setup.period(), Duration::from_millis(40));
    setup.scale(Some(10.0), Some(20)).expect("each is right");
    let error = setup.check().expect_err("half a millisecond").to_string();
    assert!(error.contains("the kernel takes 1 ms"), "{error}");
}
