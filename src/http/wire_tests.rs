//! Bodies, good and bad.

use proptest::prelude::*;

use super::*;

fn fields(body: &str) -> Vec<&'static str> {
    match parse_transaction(body.as_bytes()) {
        Err(BadBody::Invalid(problems)) => problems.iter().map(|problem| problem.field).collect(),
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn a_good_body_is_read() {
    for body in [
        r#"{"valor": 1000, "tipo": "c", "descricao": "descricao"}"#,
        r#" {"descricao":"\u00e7\u00e3\ud83e\udd80","tipo":"d","valor":9223372036854775807,"x":[1]}"#,
    ] {
        assert!(parse_transaction(body.as_bytes()).is_ok(), "{body}");
    }
}

#[test]
fn what_is_json_but_no_transaction_is_explained_by_field() {
    for (body, wrong) in [
        (r#"{}"#, vec!["valor", "tipo", "descricao"]),
        (r#"{"valor":1.2,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":1.0,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":1e2,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":-0,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":0,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":-1,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":9223372036854775808,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":1e999,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":18446744073709551616,"tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":1,"tipo":"d","descricao":"\ud800"}"#, vec!["descricao"]),
        (r#"{"valor":2,"tipo":"d","descricao":"x","valor":"x","\ud800":"\ud800"}"#, vec!["valor"]),
        (r#"{"valor":"1","tipo":"d","descricao":"x"}"#, vec!["valor"]),
        (r#"{"valor":null,"tipo":null,"descricao":null}"#, vec!["valor", "tipo", "descricao"]),
        (r#"{"valor":1,"tipo":"x","descricao":"x"}"#, vec!["tipo"]),
        (r#"{"valor":1,"tipo":"D","descricao":"x"}"#, vec!["tipo"]),
        (r#"{"valor":1,"tipo":"d","descricao":""}"#, vec!["descricao"]),
        (r#"{"valor":1,"tipo":"d","descricao":"12345678901"}"#, vec!["descricao"]),
        (r#"{"valor":1,"tipo":"d","descricao":"a\u0000"}"#, vec!["descricao"]),
        (r#"{"valor":1,"tipo":"d","descricao":"x","valor":2}"#, vec![""]),
        (r#"[1,"d","x"]"#, vec![""]),
        ("1", vec![""]),
        ("null", vec![""]),
    ] {
        assert_eq!(fields(body), wrong, "{body}");
    }
}

#[test]
fn what_is_not_json_is_told_apart() {
    for body in [
        &b""[..],
        b"{",
        b"valor=1",
        b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"x\"} x",
        b"{\"valor\":01,\"tipo\":\"d\",\"descricao\":\"x\"}",
        b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"\xff\"}",
        b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"\\ud8zz\"}",
        b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"x\",\"y\":\"\xff\"}",
        b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"x\",\"\t\":0}",
        b"\xef\xbb\xbf{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"x\"}",
    ] {
        let error = parse_transaction(body).expect_err("not JSON");
        assert!(matches!(error, BadBody::NotJson(_)), "{}: {error:?}", String::from_utf8_lossy(body));
    }
}

#[test]
fn deep_nesting_does_no_harm() {
    let open = format!(r#"{{"valor":1,"tipo":"c","descricao":"x","y":{}"#, "[".repeat(2_000));
    assert!(matches!(parse_transaction(open.as_bytes()), Err(BadBody::NotJson(_))));
    let closed = format!("{open}{}}}", "]".repeat(2_000));
    assert!(parse_transaction(closed.as_bytes()).is_ok());
}

#[test]
fn an_amount_that_is_too_large_is_told_so() {
    for (amount, what) in
        [("9223372036854775808", "at most"), ("1e400", "whole number"), ("-1e1", "whole number")]
    {
        let body = format!(r#"{{"valor":{amount},"tipo":"d","descricao":"x"}}"#);
        let Err(BadBody::Invalid(problems)) = parse_transaction(body.as_bytes()) else { panic!("{body}") };
        assert!(problems[0].detail.contains(what), "{body}: {problems:?}");
    }
}

/// Pieces of JSON and of what is nearly JSON, from which the properties make values.
fn value() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 24] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\"",
        b"\"a\"",
        b"\"valor\"",
        b"\\ud800",
        b"\\u00e7",
        b"\\",
        b"\t",
        b" ",
        b"\xff",
        b"\xc3\xa7",
        b"1",
        b"-",
        b"0",
        b".5",
        b"e400",
        b"null",
        b"tru",
        b"true",
    ];
    prop_oneof![
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8).prop_map(|pieces| pieces.concat()),
        prop::sample::select(vec![
            "[{\"a\":[1e400,\"\\ud800\"]}]",
            "\"\\u0063\"",
            "18446744073709551616",
            "{}"
        ])
        .prop_map(|value| value.as_bytes().to_vec()),
    ]
}

fn is_json(body: &[u8]) -> bool {
    !matches!(parse_transaction(body), Err(BadBody::NotJson(_)))
}

/// Knows nothing of fields.
fn has_the_grammar(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whether_it_is_json_does_not_depend_on_which_fields_are_wrong(value in value()) {
        let with = |before: &str, after: &str| [before.as_bytes(), &value, after.as_bytes()].concat();
        for body in [
            value.clone(),
            with("[", "]"),
            with(r#"{"valor":1,"tipo":"c","descricao":"x","y":"#, "}"),
            with(r#"{"y":"#, r#","valor":"no","tipo":1,"valor":2}"#),
            with(r#"{"valor":"#, r#","tipo":"c","descricao":"x"}"#),
            with(r#"{"valor":1,"tipo":"#, r#","descricao":"x"}"#),
            with(r#"{"valor":1.5,"tipo":"x","\u0064escricao":"#, "}"),
        ] {
            prop_assert_eq!(is_json(&body), has_the_grammar(&body), "{}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn any_bytes_have_a_verdict(body in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(is_json(&body), has_the_grammar(&body));
    }
}

#[test]
fn times_are_rfc_3339_in_utc_with_microseconds() {
    let time = time::macros::datetime!(2024-01-17 02:34:38.543030 +02:00);
    let json = serde_json::to_string(&Timestamp(time)).expect("a valid time");
    assert_eq!(json, r#""2024-01-17T00:34:38.543030Z""#);
}
