//! What is malformed: each case by name. Path and body are judged before anything else, so all of
//! it is asked of an instance that has no database: whatever reached for one would be a 503.

use std::time::Duration;

use crate::harness::{Database, GOOD, Guiche, Launcher, Request, Response, chunked, transaction};

/// Far less than any deadline that a database could run into.
const AT_ONCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn what_is_well_formed_needs_the_database() {
    let guiche = Launcher::without_database().start_listening().await;
    guiche.credit(1, 1, "x").await.assert_refused("unavailable");
    guiche.statement(1).await.assert_refused("unavailable");
    // Whether a client exists is for the database alone to say.
    guiche.statement(6).await.assert_refused("unavailable");
}

#[tokio::test]
async fn bodies_that_are_no_transaction() {
    let guiche = Launcher::without_database().start_listening().await;
    let long = |text: &str, times| transaction(1, "c", &text.repeat(times));
    let field = |name: &str, value: &str| match name {
        "valor" => format!(r#"{{"valor":{value},"tipo":"c","descricao":"x"}}"#),
        "tipo" => format!(r#"{{"valor":1,"tipo":{value},"descricao":"x"}}"#),
        _ => format!(r#"{{"valor":1,"tipo":"c","descricao":{value}}}"#),
    };
    for (name, body, wrong) in [
        ("a fraction", field("valor", "1.2"), "valor"),
        ("a whole number with a fraction", field("valor", "1.0"), "valor"),
        ("an exponent", field("valor", "1e2"), "valor"),
        ("an exponent that leaves a whole number", field("valor", "10E-1"), "valor"),
        ("zero", field("valor", "0"), "valor"),
        ("minus zero", field("valor", "-0"), "valor"),
        ("a negative amount", field("valor", "-1"), "valor"),
        ("one above 64 bits", field("valor", "9223372036854775808"), "valor"),
        ("one above unsigned 64 bits", field("valor", "18446744073709551616"), "valor"),
        ("a number of a hundred digits", field("valor", &"9".repeat(100)), "valor"),
        ("an amount as text", field("valor", r#""1""#), "valor"),
        ("an amount of null", field("valor", "null"), "valor"),
        ("an amount of true", field("valor", "true"), "valor"),
        ("an amount in a list", field("valor", "[1]"), "valor"),
        ("another kind", field("tipo", r#""x""#), "tipo"),
        ("a kind in upper case", field("tipo", r#""C""#), "tipo"),
        ("a kind with a space", field("tipo", r#""c ""#), "tipo"),
        ("both kinds", field("tipo", r#""cd""#), "tipo"),
        ("an empty kind", field("tipo", r#""""#), "tipo"),
        ("a kind of null", field("tipo", "null"), "tipo"),
        ("a kind as a number", field("tipo", "99"), "tipo"),
        ("a kind in a list", field("tipo", r#"["c"]"#), "tipo"),
        ("an empty description", field("descricao", r#""""#), "descricao"),
        ("a description of null", field("descricao", "null"), "descricao"),
        ("a description as a number", field("descricao", "1"), "descricao"),
        ("a description with NUL", field("descricao", r#""a\u0000b""#), "descricao"),
        ("eleven letters", long("a", 11), "descricao"),
        ("eleven letters of two bytes", long("ç", 11), "descricao"),
        ("eleven letters of four bytes", long("🦀", 11), "descricao"),
        (
            "eleven marks that make six letters",
            field("descricao", r#""e\u0301e\u0301e\u0301e\u0301e\u0301e""#),
            "descricao",
        ),
        ("half a surrogate pair", field("descricao", r#""\ud83e""#), "descricao"),
        ("an amount beyond any number", field("valor", "1e400"), "valor"),
        ("a thousand letters", long("a", 1_000), "descricao"),
        ("no amount", r#"{"tipo":"c","descricao":"x"}"#.into(), "valor"),
        ("no kind", r#"{"valor":1,"descricao":"x"}"#.into(), "tipo"),
        ("no description", r#"{"valor":1,"tipo":"c"}"#.into(), "descricao"),
        ("a field in upper case", r#"{"Valor":1,"tipo":"c","descricao":"x"}"#.into(), "valor"),
        ("a field twice", r#"{"valor":1,"valor":1,"tipo":"c","descricao":"x"}"#.into(), ""),
        ("a list of fields", r#"[1,"c","x"]"#.into(), ""),
        ("a list of transactions", format!("[{GOOD}]"), ""),
        ("null", "null".into(), ""),
        ("a number", "1".into(), ""),
        ("a text", r#""c""#.into(), ""),
    ] {
        let response = post(&guiche, body.as_bytes()).await;
        response.assert_problem(422, "invalid-transaction", &format!("{name}: {body}"));
        let errors = response.json()["errors"].take();
        assert_eq!(errors[0]["field"], wrong, "{name}: {response:?}");
        assert!(
            errors[0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{name}: {response:?}"
        );
    }
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let guiche = Launcher::without_database().start_listening().await;
    let response = post(&guiche, br#"{"valor":0,"tipo":"x"}"#).await;
    let errors = response.json()["errors"].take();
    let fields: Vec<_> =
        errors.as_array().expect("a list").iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["valor", "tipo", "descricao"]);
}

#[tokio::test]
async fn bodies_that_are_not_json() {
    let guiche = Launcher::without_database().start_listening().await;
    let deep = format!(r#"{{"valor":1,"tipo":"c","descricao":"x","y":{}"#, "[".repeat(3_000));
    for (name, body) in [
        ("nothing", &b""[..]),
        ("an open brace", b"{"),
        ("a form", b"valor=1&tipo=c&descricao=x"),
        ("two objects", br#"{"valor":1,"tipo":"c","descricao":"x"}{}"#),
        ("a comma at the end", br#"{"valor":1,"tipo":"c","descricao":"x",}"#),
        ("single quotes", br"{'valor':1,'tipo':'c','descricao':'x'}"),
        ("a leading zero", br#"{"valor":01,"tipo":"c","descricao":"x"}"#),
        ("a plus sign", br#"{"valor":+1,"tipo":"c","descricao":"x"}"#),
        ("not a number", br#"{"valor":NaN,"tipo":"c","descricao":"x"}"#),
        ("bytes that are not UTF-8", b"{\"valor\":1,\"tipo\":\"c\",\"descricao\":\"\xff\"}"),
        (
            "bytes that are not UTF-8 elsewhere",
            b"{\"valor\":1,\"tipo\":\"c\",\"descricao\":\"x\",\"y\":\"\xff\"}",
        ),
        ("a bare NUL", b"{\"valor\":1,\"tipo\":\"c\",\"descricao\":\"\0\"}"),
        ("a byte order mark", b"\xef\xbb\xbf{\"valor\":1,\"tipo\":\"c\",\"descricao\":\"x\"}"),
        ("deep nesting", deep.as_bytes()),
    ] {
        post(&guiche, body).await.assert_problem(400, "malformed-body", name);
    }
}

#[tokio::test]
async fn the_body_is_judged_before_the_client_exists_and_after_the_path() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let bad = |id: &str| Request::post(&format!("/clientes/{id}/transacoes"), "{}");
    assert_eq!(guiche.ask(&bad("6")).await.status, 422, "an unknown client, a bad body");
    assert_eq!(guiche.ask(&bad("six")).await.status, 404, "no client's id, a bad body");
}

#[tokio::test]
async fn ids_that_no_client_can_have() {
    let guiche = Launcher::without_database().start_listening().await;
    for id in [
        "a",
        "1a",
        "-1",
        "+1",
        "1.0",
        "1e0",
        "0x1",
        "%20",
        "1%20",
        "%00",
        "2147483648",
        "4294967297",
        "18446744073709551617",
        &"9".repeat(400),
        "%EF%BC%91",
        "1,2",
        "null",
        "*",
    ] {
        for request in [
            Request::get(&format!("/clientes/{id}/extrato")),
            Request::post(&format!("/clientes/{id}/transacoes"), GOOD),
        ] {
            guiche.ask(&request).await.assert_problem(404, "unknown-client", id);
        }
    }
}

#[tokio::test]
async fn an_id_is_read_to_its_end() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    for id in ["12", "10", "100001", "2147483647", "0"] {
        let response = guiche.ask(&Request::post(&format!("/clientes/{id}/transacoes"), GOOD)).await;
        response.assert_problem(404, "unknown-client", id);
    }
    assert_eq!(database.rows().await, []);
}

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let guiche = Launcher::without_database().start_listening().await;
    for path in [
        "/",
        "/clientes",
        "/clientes/1",
        "/clientes/1/",
        "/clientes/1/extratos",
        "/clientes//extrato",
        "/clientes/1/extrato/",
        "/clientes/1/2/extrato",
        "/CLIENTES/1/extrato",
        "/metrics",
        "/healthz/x",
    ] {
        guiche.get(path).await.assert_problem(404, "no-such-path", path);
    }
}

#[tokio::test]
async fn methods_that_a_path_does_not_take() {
    let guiche = Launcher::without_database().start_listening().await;
    for (path, right, wrong) in [
        ("/clientes/1/transacoes", "POST", ["GET", "PUT", "DELETE", "PATCH"]),
        ("/clientes/1/extrato", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
        ("/healthz", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
        ("/readyz", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
        ("/openapi.json", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
        ("/problems/overloaded", "GET", ["POST", "PUT", "DELETE", "PATCH"]),
    ] {
        for method in wrong {
            let response = guiche.ask(&Request::new(method, path).body(GOOD)).await;
            response.assert_problem(405, "method-not-allowed", &format!("{method} {path}"));
            // RFC 9110, section 15.5.6: the answer says what would be right.
            let allowed = response.header("allow").unwrap_or_default();
            assert!(allowed.split(", ").any(|method| method == right), "{method} {path}: Allow: {allowed}");
        }
    }
}

#[tokio::test]
async fn the_body_is_read_as_json_whatever_its_type_says() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let path = "/clientes/1/transacoes";
    let request = || Request::new("POST", path);
    for (name, request) in [
        ("no type", request().body(GOOD)),
        ("a form's type", request().header("Content-Type", "application/x-www-form-urlencoded").body(GOOD)),
        ("plain text", request().header("Content-Type", "text/plain").body(GOOD)),
        ("an odd type", request().header("Content-Type", ";;;=").body(GOOD)),
        ("another charset", request().header("Content-Type", "application/json; charset=latin1").body(GOOD)),
        ("chunks", request().header("Transfer-Encoding", "chunked").raw_body(chunked(GOOD, 7))),
        ("a query", Request::post(&format!("{path}?valor=2"), GOOD)),
        ("fields that nobody asked for", Request::post(path, GOOD.replace('{', r#"{"id":[7],"saldo":{},"#))),
        ("white space around", Request::post(path, format!(" \r\n\t{GOOD}\n"))),
        ("an escape for every letter", Request::post(path, GOOD.replace("tipo", r"\u0074ipo"))),
    ] {
        assert_eq!(guiche.ask(&request).await.status, 200, "{name}");
    }
    assert_eq!(database.balance(1).await, 10);
}

async fn post(guiche: &Guiche, body: &[u8]) -> Response {
    let request = Request::post("/clientes/1/transacoes", body);
    tokio::time::timeout(AT_ONCE, guiche.ask(&request)).await.expect("an answer at once")
}
