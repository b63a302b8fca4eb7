//! What is drawn, and what is refused.

use super::*;
use crate::report::svg::tests::assert_dark;

fn chart(shape: Shape, series: usize) -> GroupChart<'static> {
    let mark = |value: f64| Some(Mark { value, range: (0.9 * value, 1.1 * value) });
    let one = Series { name: "direct", marks: vec![mark(1_250.0), None, mark(0.0)] };
    let panel = |title: &str| Panel {
        title: title.to_owned(),
        description: format!("{title} & locks."),
        shape,
        series: vec![one.clone(); series],
    };
    GroupChart {
        group_label: "connections",
        groups: ["1", "16", "64"].map(str::to_owned).to_vec(),
        panels: vec![panel("requests/s"), panel("sessions")],
        columns: 2,
        same_scale: false,
    }
}

#[test]
fn it_is_drawn_for_light_and_dark() {
    for shape in [Shape::Bars, Shape::Lines, Shape::LogarithmicLines, Shape::Stack] {
        let chart = chart(shape, 4);
        let svg = chart.to_svg().expect("it can be drawn");
        assert!(svg.starts_with("<svg class=\"chart\"") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("aria-label=\"requests/s &amp; locks. sessions &amp; locks.\""), "{svg}");
        assert_dark(&svg);
    }
}

#[test]
fn each_panel_can_stand_alone() {
    let panels = chart(Shape::Bars, 2).to_svgs().expect("they can be drawn");
    assert_eq!(panels.len(), 2);
    assert!(panels[1].contains("aria-label=\"sessions &amp; locks.\""), "{}", panels[1]);
    assert!(!panels[1].contains("requests/s"));
}

#[test]
fn what_is_missing_is_said() {
    let mut chart = chart(Shape::Lines, 1);
    assert!(chart.to_svg().expect("a chart").contains("no valid figure"));
    for panel in &mut chart.panels {
        panel.series[0].marks.remove(1);
    }
    assert!(!chart.to_svg().expect("a chart").contains("no valid figure"));
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    assert!(chart(Shape::Bars, HUES + 1).to_svg().is_err());
    assert!(GroupChart { panels: Vec::new(), ..chart(Shape::Bars, 1) }.to_svg().is_err());
}

#[test]
fn nothing_to_draw_is_drawn_too() {
    for shape in [Shape::Bars, Shape::Lines, Shape::LogarithmicLines, Shape::Stack] {
        let mut empty = chart(shape, 1);
        empty.panels.iter_mut().for_each(|panel| panel.series[0].marks = vec![None; 3]);
        empty.to_svg().expect("an empty chart");
    }
}

#[test]
fn a_scale_can_be_shared() {
    let mut chart = chart(Shape::Stack, 1);
    chart.panels[1].series[0].marks = vec![Some(Mark { value: 2.0, range: (2.0, 2.0) }); 3];
    let alone = chart.to_svgs().expect("charts")[1].clone();
    chart.same_scale = true;
    let shared = chart.to_svgs().expect("charts")[1].clone();
    assert!(shared.contains("1,000") && !alone.contains("1,000"), "{shared}");
}

#[test]
fn names_that_do_not_fit_are_smaller() {
    let mut chart = chart(Shape::Lines, 1);
    assert_eq!(chart.names().size, 17);
    chart.groups = (0..16).map(|group| (1_000 + group).to_string()).collect();
    assert_eq!(chart.names().size, 12);
}

#[test]
fn names_are_wrapped_between_words() {
    assert_eq!(wrap("round robin", 6), ["round", "robin"]);
    assert_eq!(wrap("round robin", 11), ["round robin"]);
    assert_eq!(wrap("least_conn", 6), ["least_", "conn"]);
    assert_eq!(wrap("1000", 2), ["1000"]);
}
