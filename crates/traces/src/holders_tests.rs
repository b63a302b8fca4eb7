//! Who held a row is found by ids.

use super::*;

/// A call of run 0 that locked client 1's row: its id, who changed the row last before it, who had it locked, when it
/// began, how long it waited, and how long it was in the database.
fn push(holders: &mut Holders, id: u32, (changer, locker): (u32, u32), at: u64, [wait, database]: [u64; 2]) {
    let rows = vec![(1, Xid(changer), Xid(locker))];
    let locks = Locks { at, oldest: Xid(10), ids: vec![Xid(id)], rows, ..Locks::default() };
    holders.push((0, id.into()), locks, [wait, database]);
}

fn waits(holders: &mut Holders) -> Vec<(u64, Wait)> {
    std::iter::from_fn(|| holders.next_wait(true)).map(|waited| (waited.call.1, waited.wait)).collect()
}

fn held(holds: &[(Holder, u64, u64)]) -> Wait {
    Wait::Held(
        holds.iter().map(|(holder, from, to)| Hold { holder: *holder, from: *from, to: *to }).collect(),
    )
}

fn call(number: u64) -> Holder {
    Holder::Call((0, number))
}

#[test]
fn holders_come_one_behind_the_other() {
    let mut holders = Holders::new(100, false);
    // 20 changes the row, 21 waits for it and changes it, 22 waits for both.
    push(&mut holders, 20, (9, 0), 1_000, [10, 1_000]);
    push(&mut holders, 21, (20, 21), 1_100, [900, 2_000]);
    push(&mut holders, 22, (21, 22), 1_200, [2_000, 2_500]);
    let all = waits(&mut holders);
    assert_eq!(all[0], (21, held(&[(call(20), 0, 900)])));
    assert_eq!(all[1], (22, held(&[(call(20), 0, 800), (call(21), 800, 2_000)])));
    let told = std::iter::from_fn(|| holders.forget(true)).map(|held_up| (held_up.micros, held_up.waits));
    assert_eq!(told.collect::<Vec<_>>(), [(1_700, 2), (1_200, 1), (0, 0)]);
}

/// A holder that changes nothing leaves the row's version as it was.
#[test]
fn who_changed_nothing_has_held_it_too() {
    let mut holders = Holders::new(100, false);
    push(&mut holders, 20, (15, 0), 1_000, [10, 1_000]);
    push(&mut holders, 21, (15, 20), 1_100, [800, 1_500]);
    push(&mut holders, 22, (15, 20), 1_200, [1_400, 1_500]);
    let all = waits(&mut holders);
    assert_eq!(all[0], (21, held(&[(call(20), 0, 800)])));
    assert_eq!(all[1], (22, held(&[(call(20), 0, 700), (call(21), 700, 1_400)])));
}

#[test]
fn a_holders_id_may_be_larger_and_ids_wrap_around() {
    let mut holders = Holders::new(100, false);
    let oldest = Xid(u32::MAX - 2);
    for (id, changer, at, wait) in [(3, 9, 1_000, 0), (u32::MAX, 3, 1_050, 500)] {
        let locks = Locks {
            at,
            oldest,
            ids: vec![Xid(id)],
            rows: vec![(1, Xid(changer), Xid(id))],
            ..Locks::default()
        };
        holders.push((0, id.into()), locks, [wait, 600]);
    }
    assert_eq!(waits(&mut holders), [(u32::MAX.into(), held(&[(call(3), 0, 500)]))]);
}

#[test]
fn what_is_no_call_is_named_by_its_transaction() {
    let mut holders = Holders::new(100, false);
    let other = |id| Holder::Other(Xid(id));
    // 30 changed it, 31 only had it locked.
    push(&mut holders, 20, (30, 20), 1_000, [500, 600]);
    push(&mut holders, 21, (20, 31), 2_000, [400, 600]);
    // Somebody else locked it first, and then a call that found it so.
    push(&mut holders, 22, (21, 32), 3_000, [400, 1_000]);
    push(&mut holders, 23, (21, 32), 3_100, [900, 1_000]);
    let all = waits(&mut holders);
    assert_eq!(all[0], (20, held(&[(other(30), 0, 500)])));
    assert_eq!(all[1], (21, held(&[(other(31), 0, 400)])));
    assert_eq!(all[3], (23, held(&[(other(32), 0, 300), (call(22), 300, 900)])));
}

#[test]
fn nobody_is_named_without_evidence() {
    let mut holders = Holders::new(100, false);
    // The row was free: what is known of it was over before.
    push(&mut holders, 8, (7, 0), 100, [0, 500]);
    push(&mut holders, 20, (8, 5), 1_000, [500, 600]);
    // A call that could not say anything of its rows.
    holders.push(
        (0, 21),
        Locks { at: 2_000, oldest: Xid(10), ids: vec![Xid(21)], ..Locks::default() },
        [500, 600],
    );
    assert_eq!(waits(&mut holders), [(20, Wait::Free), (21, Wait::Unknown)]);
}

/// A call that was rolled back had ids, too.
#[test]
fn what_may_have_been_a_failed_call_is_not_known() {
    let mut holders = Holders::new(100, false);
    let failed = CallRecord {
        id: 9,
        at: 900,
        total: 400,
        carries: vec![(1, 1, 0), (2, 0, 1)],
        failure: Some("rolled_back".into()),
        ..CallRecord::default()
    };
    holders.add(1, &failed);
    push(&mut holders, 20, (30, 20), 1_000, [500, 600]);
    push(&mut holders, 21, (20, 31), 2_000, [400, 600]);
    let other = Holder::Other(Xid(31));
    assert_eq!(waits(&mut holders), [(20, Wait::Unknown), (21, held(&[(other, 0, 400)]))]);
}

#[test]
fn two_rows_of_one_holder_are_one_hold() {
    let mut holders = Holders::new(100, false);
    let locks = |id, at, changer| Locks {
        at,
        oldest: Xid(10),
        ids: vec![Xid(id)],
        rows: vec![(1, Xid(changer), Xid(0)), (2, Xid(changer), Xid(0)), (3, Xid(4), Xid(0))],
        ..Locks::default()
    };
    holders.push((0, 20), locks(20, 1_000, 9), [0, 700]);
    holders.push((1, 5), locks(21, 1_200, 20), [500, 900]);
    let waited = holders.next_wait(true).expect("it waited");
    assert_eq!(waited.call, (1, 5));
    assert_eq!(waited.wait, held(&[(call(20), 0, 500)]));
}

/// What has gone by longer ago than is remembered is not known, and nothing breaks.
#[test]
fn no_more_is_remembered_than_may_be() {
    let mut holders = Holders::new(10, false);
    let mut told = 0;
    for id in 20..1_020 {
        push(&mut holders, id, (id - 1, id), u64::from(id) * 1_000, [1_100, 1_500]);
        told += std::iter::from_fn(|| holders.next_wait(false)).count();
        while holders.forget(false).is_some() {}
        assert!(holders.calls.len() <= 10 && holders.by_id.len() <= 10 && holders.by_row.len() <= 10);
    }
    told += waits(&mut holders).len();
    assert_eq!(told, 1_000);
}

/// Calls before the first one were moved away, or are out of sight: an older id may be one of theirs.
#[test]
fn of_what_was_before_the_trace_it_is_not_known_whose_it_was() {
    for (begins_late, wait) in [(false, held(&[(Holder::Other(Xid(15)), 0, 500)])), (true, Wait::Unknown)] {
        let mut holders = Holders::new(100, begins_late);
        push(&mut holders, 20, (15, 20), 1_000, [500, 1_000]);
        assert_eq!(waits(&mut holders), [(20, wait)]);
    }
    let mut holders = Holders::new(100, true);
    push(&mut holders, 20, (15, 0), 1_000, [10, 100]);
    push(&mut holders, 22, (21, 22), 1_200, [500, 1_000]);
    assert_eq!(waits(&mut holders), [(22, held(&[(Holder::Other(Xid(21)), 0, 500)]))]);
}

#[test]
fn each_server_has_ids_of_its_own() {
    let mut holders = Holders::new(100, true);
    let mut push = |client, server, id, changer, at, wait| {
        let rows = vec![(client, Xid(changer), Xid(id))];
        let locks = Locks { at, oldest: Xid(10), server, ids: vec![Xid(id)], rows, ..Locks::default() };
        holders.push((server as usize, id.into()), locks, [wait, 600]);
    };
    push(1, 0, 20, 9, 1_000, 0);
    push(2, 1, 20, 9, 1_000, 0);
    push(2, 1, 30, 20, 1_100, 400);
    // On the first server it is somebody else who is 25, and there no call may be missing before 20.
    push(1, 0, 31, 25, 1_200, 300);
    push(2, 1, 25, 30, 1_300, 200);
    let all = waits(&mut holders);
    assert_eq!(all[0], (30, held(&[(Holder::Call((1, 20)), 0, 400)])));
    assert_eq!(all[1], (31, held(&[(Holder::Other(Xid(25)), 0, 300)])));
}
