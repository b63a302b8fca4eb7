use super::*;

fn reading(at_s: f64) -> Reading {
    Reading { at_s, ..Reading::default() }
}

#[test]
fn a_wait_that_is_added_at_its_end_began_before() {
    let mut readings = [0.0, 0.05, 0.1, 0.15].map(reading);
    readings[3].throttled[2] = Duration::from_millis(80);
    let looks = of_machine(&readings);
    let held: Vec<f64> = looks.iter().map(|look| (look.held(Cause::SliceOfNginx) * 1e3).round()).collect();
    assert_eq!(held, [0.0, 30.0, 50.0]);
    assert_eq!((share(&looks, Cause::SliceOfNginx, Some((0.05, 0.15))) * 100.0).round(), 80.0);
}

#[test]
fn each_counter_of_the_machine_is_a_cause() {
    let mut readings = [1.0, 1.05].map(reading);
    let ms = Duration::from_millis;
    readings[1].pressure = Pressure { cpu: ms(10), io: ms(20), memory: ms(30), steal: ms(40) };
    (readings[1].late, readings[1].throttled) = (ms(15), [ms(1), ms(2), ms(3), ms(4)]);
    let looks = of_machine(&readings);
    for (cause, held) in [
        (Cause::Cpu, 6),
        (Cause::Disk, 20),
        (Cause::Memory, 30),
        (Cause::Steal, 40),
        (Cause::Asleep, 15),
        (Cause::SliceOfApi1, 1),
        (Cause::SliceOfApi2, 2),
        (Cause::SliceOfNginx, 3),
        (Cause::SliceOfDatabase, 4),
    ] {
        assert_eq!(looks[0].held(cause), ms(held).as_secs_f64(), "{cause}");
    }
}

#[test]
fn a_quota_that_is_used_up_is_no_want_of_a_cpu() {
    let mut readings = [1.0, 1.05, 1.1].map(reading);
    let ms = Duration::from_millis;
    // The kernel tells of the pressure while it lasts, and of the quota when it is over.
    readings[1].pressure.cpu = ms(50);
    readings[2].pressure.cpu = ms(85);
    readings[2].throttled[2] = ms(80);
    let looks = of_machine(&readings);
    let held = |cause| (share(&looks, cause, None) * 100.0).round();
    assert_eq!((held(Cause::SliceOfNginx), held(Cause::Cpu)), (80.0, 20.0));
}

#[test]
fn a_look_tells_what_sessions_wait_for_until_the_next() {
    let sample = Sample { active: 4, row_lock: 1, wal: 1, other: 1, ..Sample::default() };
    let asked = |at_s, answered_s| Asked { at_s, answer: Some((answered_s, sample.clone())) };
    let looks = of_sessions(&[asked(1.0, 1.001), asked(1.05, 1.35), asked(1.4, 1.401)], 1.45);
    let [prompt, late, last] = &looks[..] else { panic!("{looks:?}") };
    for cause in [Cause::Row, Cause::Commit, Cause::Inside, Cause::Work] {
        assert!((prompt.held(cause) - 0.05).abs() < 1e-9, "{cause}: {prompt:?}");
        assert!((late.held(cause) - 0.05).abs() < 1e-9, "{cause}: {late:?}");
    }
    assert_eq!((prompt.held(Cause::Silence), last.to_s), (0.0, 1.45));
    assert!((late.held(Cause::Silence) - 0.3).abs() < 1e-9, "{late:?}");
}

#[test]
fn samples_of_a_sampler_are_evidence() {
    let sample = |at_s, took_s| Sample { at_s, took_s, active: 1, row_lock: 1, ..Sample::default() };
    let samples = [sample(1.0, 0.001), sample(1.5, 0.3), sample(1.6, 0.001), sample(1.7, 0.001)];
    let evidence = Evidence::default().with_samples(&samples, 10.0).within(11.1, 11.65);
    let times: Vec<f64> = evidence.sessions.iter().map(|look| (look.from_s * 1e3).round()).collect();
    assert_eq!(times, [10_999.0, 11_200.0, 11_599.0], "the last look has no length");
    assert!((evidence.sessions[1].held(Cause::Silence) - 0.3).abs() < 1e-9, "{evidence:?}");
    assert!((evidence.sessions[1].held(Cause::Row) - 0.099).abs() < 1e-9, "{evidence:?}");
}

#[test]
fn who_never_answers_is_silent() {
    let looks = of_sessions(&[Asked { at_s: 1.0, answer: None }], 3.0);
    assert_eq!(looks[0].held(Cause::Silence), 2.0);
}
