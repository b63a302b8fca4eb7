//! What a declared file may say, and how its mistakes are named.

use super::*;
use crate::measure::setup::Setup;
use testbed::Mode;

const RIGHT: &str = r#"
title = "Hot"
question = "What if?"
answer = "{{ goodput('batched', 1) }} requests/s"
[x]
label = "clients"
set = "clients={}"
values = [1, "5"]
[series]
label = "mode"
values = [{ label = "one by one", set = "mode=direct,BATCH_MAX=1" }, { label = "batched", set = "mode=batched" }]
[stays]
profile = "durable"
reads = 0.5
[load]
users = 8
[[expect]]
says = "it is fast"
holds = "goodput('batched', 1) >= 100"
"#;

#[test]
fn a_file_becomes_settings() {
    let declaration = Declaration::parse("hot", RIGHT).expect("it is right");
    assert_eq!((declaration.rounds, declaration.name.as_str()), (3, "hot"));
    let plan = Plan::new(&declaration, &Choice::default()).expect("it is right");
    let [x, series] = plan.result.comparisons[0].axes.clone().expect("two axes");
    assert_eq!(x.values, ["1", "5"]);
    assert_eq!(series.values, ["one by one", "batched"]);
    let setups: Vec<&Setup> = plan.setups().collect();
    assert_eq!((setups[2].clients, setups[2].mode, setups[2].reads), (5, Mode::Direct, 0.5));
    assert_eq!(setups[2].env["BATCH_MAX"], "1");
    assert_eq!(setups[3].env.len(), 0);
}

#[test]
fn mistakes_are_named_with_their_field() {
    for (right, wrong, says) in [
        ("title = \"Hot\"", "title = \"\"", "title is empty"),
        ("title = \"Hot\"", "", "missing field `title`"),
        ("title = \"Hot\"", "colour = 1", "unknown field `colour`"),
        ("users = 8", "user = 8", "load: user is none of connections, users, rate, timeout_ms"),
        ("users = 8", "users = 0", "load.users: users=0: expected 1 to"),
        ("users = 8", "users = 8\nrate = 5", "not both"),
        ("values = [1, \"5\"]", "values = []", "x: values has 0, expected 1 to 12"),
        ("values = [1, \"5\"]", "values = [1, \"1\"]", "x: values has one label twice"),
        ("values = [1, \"5\"]", "values = [true]", "a value is a word, a number"),
        ("values = [1, \"5\"]", "values = [1, 0]", "x, value 0: clients=0: expected at least 1"),
        ("set = \"clients={}\"", "set = \"clients=5\"", "x: set must say what a value sets"),
        ("set = \"clients={}\"", "set = \"colour={}\"", "x, value 1: colour=1: \"colour\" is none of"),
        ("mode=batched\" }]", "mode=fast\" }]", "series, value batched: mode=fast: expected one of direct"),
        ("reads = 0.5", "reads = 1.5", "stays.reads: reads=1.5: expected 0 to 1"),
        ("{{ goodput('batched', 1) }}", "{{ goodput('quick', 1) }}", "answer: "),
        ("1) >= 100", "7) >= 100", "expect number 1: "),
        (
            "[series]",
            "[[comparison]]\nname = \"a\"\ntitle = \"A\"\ncases = [\"\"]\n[series]",
            "x and series, or comparisons",
        ),
    ] {
        let text = RIGHT.replace(right, wrong);
        assert_ne!(text, RIGHT, "{right} is not there");
        let error = Declaration::parse("hot", &text).expect_err(wrong);
        let error = format!("{error:#}");
        assert!(error.contains(says), "{wrong}: {error}");
    }
}

#[test]
fn what_is_shipped_is_right_and_small() {
    let names = shipped().expect("the directory is there");
    for wanted in [
        "hot",
        "zipf",
        "open",
        "balancing",
        "durability",
        "read_share",
        "batch",
        "flood",
        "locked_row",
        "overload",
        "crowd",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is missing from {names:?}");
    }
    let mut points = 0;
    for name in &names {
        let path = directory().join(format!("{name}.toml"));
        let declaration = Declaration::read(&path).expect("it is right");
        assert!(!declaration.expect.is_empty(), "{name} expects nothing");
        points += declaration.axes().expect("axes").map(|axis| axis.values.len()).iter().product::<usize>();
    }
    assert!(points <= 120, "{points} points are more than anyone waits for");
}
