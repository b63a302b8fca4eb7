//! What a known trace comes to, in figures and in text.

use super::*;
use crate::reader::Damage;

#[test]
fn a_known_trace_is_summed_up() {
    let directory = Directory::new();
    let made = make(&[directory.file("a", lines(&known()))], None, None, None).expect("a trace");
    let Summary { total, clients, instances, .. } = &made.summary;
    assert_eq!((total.requests, total.calls, total.batch_max, total.shed, total.left), (5, 1, 3, 1, 1));
    assert_eq!((total.wait.count, total.wait.max), (3, 200));
    assert_eq!((total.database.p50, total.database.max, total.row_wait.p99), (500, 500, 100));
    assert_eq!(made.summary.outcomes["applied"], 3);
    assert_eq!(made.summary.sheds["client_queue"], 1);
    assert_eq!((made.summary.dropped, made.summary.actors["activated"]), (4, 1));
    let (client, one) = &clients[0];
    assert_eq!((*client, one.requests, one.batch_mean, one.batch_max), (1, 3, 2.0, 2));
    // 600 µs in flight, of the 900 from the first arrival to the last answer.
    assert!((one.busy.expect("batched") - 600.0 / 900.0).abs() < 1e-9);
    assert!(instances[0].ended && instances[0].span == 900);
    assert_eq!(made.traces.damage, Damage::default());
}

#[test]
fn the_slowest_know_where_their_time_went() {
    let directory = Directory::new();
    let made = make(&[directory.file("a", lines(&known()))], None, None, None).expect("a trace");
    let ids: Vec<&str> = made.slowest.iter().map(|slow| slow.id.as_str()).collect();
    assert_eq!(ids, ["one", "two", "three"]);
    let one = &made.slowest[0];
    let parts = [
        one.body,
        one.queued,
        one.connection,
        one.report.map(|report| report.row_wait),
        one.report.map(|report| report.work),
        one.rest,
    ];
    assert_eq!(parts, [10, 200, 10, 100, 50, 530].map(Some));
    assert_eq!(parts.into_iter().flatten().sum::<u64>(), one.took, "the parts are the whole");
    assert!(
        made.text.contains("client_queue") && made.text.contains("4 because they could not be written"),
        "{}",
        made.text
    );
}

/// Whoever adds a figure to the database's report finds it in the trace, the summary and the page.
#[test]
fn every_figure_of_the_report_is_shown() {
    let directory = Directory::new();
    let mut value = 100_000;
    let report = CallReport::read(|_| {
        value += 1_000;
        Ok::<_, ()>(value)
    });
    let call =
        CallRecord { report: report.expect("nothing fails"), total: 900_000, ..call(1, 1_100, &[(1, 1, 0)]) };
    let lines = lines(&[
        header("a", 1_000, 0),
        Line::Call(call),
        Line::Request(request("one", 1, 1_000, 9, 1, 900_000)),
    ]);
    let made = make(&[directory.file("a", &lines)], None, None, None).expect("a trace");
    for (figure, value) in report.expect("nothing fails").figures() {
        assert!(lines.contains(&format!("\"{}\":{value}", figure.name)), "{figure:?}: {lines}");
        let shown = match figure.unit {
            Unit::Micros => format!("{} ms", value / 1_000),
            Unit::Count => Count(value).to_string(),
        };
        assert!(
            made.text.contains(figure.heading) && made.text.contains(&shown),
            "{figure:?}: {}",
            made.text
        );
        assert!(made.page.contains(&format!("\"{}\"", figure.heading)), "{figure:?} in the page");
    }
}

/// An instance that refused its only request.
#[test]
fn what_did_not_happen_has_no_line() {
    let directory = Directory::new();
    let shed = RequestRecord { shed: Some("client_queue".into()), ..request("shed", 1, 1_400, 0, 0, 20) };
    let file = directory.file("a", lines(&[header("a", 1_000, 0), Line::Request(shed)]));
    let text = make(&[file], None, None, None).expect("a trace").text;
    let head = text.split("\n\n").nth(1).expect("the head has two parts");
    let titles: Vec<&str> = head.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(titles, ["requests", "outcomes", "shed"], "{text}");
}

#[test]
fn a_client_and_a_window_are_picked_out() {
    let directory = Directory::new();
    let file = [directory.file("a", lines(&known()))];
    let of_two = make(&file, Some(2), None, None).expect("a trace").summary;
    assert_eq!((of_two.total.requests, of_two.total.batch_max, of_two.clients.len()), (2, 1, 1));
    let early = make(&file, None, None, Some(Moment::After(120))).expect("a trace").summary;
    assert_eq!((early.total.requests, early.total.calls), (2, 0));
    let late = make(&file, None, Some(Moment::At(1_400)), None).expect("a trace").summary;
    assert_eq!(late.total.requests, 2);
}

/// Two instances whose clocks differ by 3 ms, or 5 s: who held the row is known all the same, and their lanes lie on one
/// axis.
#[test]
fn clocks_that_differ_are_put_right() {
    for ahead in [3_000, 5_000_000] {
        let directory = Directory::new();
        let locked = |id: u64, changer: u32, at: u64, instance_ahead: u64, wait: u64| CallRecord {
            at: at + instance_ahead,
            report: report([wait, 50]),
            locks: Some(Box::new(Locks {
                at: at + 40,
                oldest: Xid(10),
                ids: vec![Xid(id as u32)],
                rows: vec![(1, Xid(changer), Xid(id as u32))],
                ..Locks::default()
            })),
            database: wait + 250,
            total: wait + 300,
            ..call(id, at, &[(1, 1, 0)])
        };
        let (mut one, mut two) = (vec![header("a", 1_000, 0)], vec![header("b", 1_000, 0)]);
        for number in 0..100 {
            let at = 10_000_000 + number * 10_000;
            let id = 20 + 2 * number;
            one.push(Line::Call(locked(id, id as u32 - 1, at, 0, 5)));
            two.push(Line::Call(locked(id + 1, id as u32, at + 100, ahead, 150)));
        }
        let files = [directory.file("a", lines(&one)), directory.file("b", lines(&two))];
        let made = make(&files, None, None, None).expect("a trace");
        assert_eq!(made.summary.waits.for_calls, 100, "{}", made.text);
        assert_eq!(made.summary.instances[1].clock, Skew::Ahead(ahead as i64), "{}", made.text);
        assert!(
            made.text.contains("that of b is") && made.page.contains("The clock of b is"),
            "{}",
            made.text
        );
        let by = "call 218 of a";
        assert!(made.text.contains(by), "{}", made.text);
    }
}
