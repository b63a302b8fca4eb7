//! Any lines, and any bytes.

use proptest::prelude::*;

use super::*;

fn any_line() -> impl Strategy<Value = Line<'static>> {
    let number = || prop_oneof![any::<u64>(), 0..5_000_u64, Just(u64::MAX)];
    let word = || prop_oneof![Just("applied".to_owned()), "[a-z<\"\\\\\u{0}-\u{1f}é]{0,6}"];
    let client = || prop_oneof![0..6_i32, any::<i32>()];
    let requests =
        (word(), proptest::option::of(client()), number(), proptest::option::of(number()), number(), word())
            .prop_map(|(id, client, at, took, call, outcome)| {
                let (id, outcome) = (id.into(), outcome.into());
                Line::Request(RequestRecord {
                    id,
                    client,
                    outcome,
                    at,
                    took,
                    queued: took,
                    call: Some(call),
                    ..RequestRecord::default()
                })
            });
    let carries = proptest::collection::vec((client(), any::<u32>(), any::<u32>()), 0..4);
    let calls =
        (number(), number(), carries, number(), number(), word()).prop_map(|(id, at, carries, a, b, cut)| {
            let cut = cut.into();
            Line::Call(CallRecord {
                id,
                at,
                carries,
                cut,
                connection: a,
                report: report([b, a]),
                database: b,
                total: a,
                locks: Some(Box::new(Locks {
                    at: b,
                    oldest: Xid(1),
                    ids: vec![Xid(a as u32)],
                    rows: vec![(1, Xid(b as u32), Xid(3))],
                    ..Locks::default()
                })),
                ..CallRecord::default()
            })
        });
    let others = (client(), number(), word())
        .prop_map(|(client, at, state)| Line::Actor(ActorChange { client, at, state: state.into() }));
    let drops = (number(), number())
        .prop_map(|(at, count)| Line::Dropped(Dropped { at, count, since: count, why: Why::QueueFull }));
    let headers = (number(), number()).prop_map(|(started, part)| header("b", started, part));
    prop_oneof![5 => requests, 5 => calls, 1 => others, 1 => drops, 1 => headers]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lines_are_read(all in proptest::collection::vec(any_line(), 0..120), client in proptest::option::of(0..6_i32)) {
        let directory = Directory::new();
        let mut contents = lines(&[header("a", 5, 0)]);
        contents += &lines(&all);
        let made = make(&[directory.file("t", contents)], client, None, None).expect("its header is good");
        prop_assert_eq!(made.traces.damage.malformed, 0);
        prop_assert!(serde_json::to_string(&made.summary).is_ok());
    }

    #[test]
    fn mutilated_traces_are_read(
        all in proptest::collection::vec(any_line(), 0..30),
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), 0..40_usize, proptest::collection::vec(any::<u8>(), 0..20)), 1..12),
        keeps_header in any::<bool>(),
    ) {
        let directory = Directory::new();
        let mut contents = lines(&[header("a", 5, 0)]).into_bytes();
        let safe = if keeps_header { contents.len() } else { 0 };
        contents.extend(lines(&all).into_bytes());
        for (place, removed, inserted) in wounds {
            let from = safe + place.index(contents.len() - safe + 1);
            let to = (from + removed).min(contents.len());
            contents.splice(from..to, inserted);
        }
        let made = make(&[directory.file("t", contents)], None, None, None);
        prop_assert!(made.is_ok() || !keeps_header);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let directory = Directory::new();
        let _ = make(&[directory.file("t", bytes)], None, None, None);
    }
}
