//! Whatever is sent, the answer is the service's own: from its table, worded as RFC 9457 wants it, the
//! same through each of the files in `nginx/` as from an instance, and a caller's mistake is no error in a log.

use futures_util::future::join_all;
use testbed::nginx::Balancing;

use crate::harness::{
    Address, BY_REQUEST, Connection, Database, Front, GOOD, Guiche, Launcher, Request, assert_page_ends_with,
};

/// A status, and the last part of its problem's type; a 200 has none.
type Answer = (u16, &'static str);

const MALFORMED: Answer = (400, "malformed-request");
const HEAD_TOO_LARGE: Answer = (431, "head-too-large");
const METHOD: Answer = (405, "method-not-allowed");
const TOO_LARGE: Answer = (413, "body-too-large");
const NO_CLIENT: Answer = (404, "unknown-client");
const NO_PATH: Answer = (404, "no-such-path");
const GOOD_ANSWER: Answer = (200, "");

/// What a caller may send.
struct Kind {
    name: &'static str,
    bytes: Vec<u8>,
    instance: Answer,
    /// What NGINX says where it sees to it before an instance does.
    nginx: Answer,
}

fn kind(name: &'static str, bytes: impl Into<Vec<u8>>, instance: Answer) -> Kind {
    Kind { name, bytes: bytes.into(), instance, nginx: instance }
}

impl Kind {
    fn but_nginx(self, nginx: Answer) -> Self {
        Self { nginx, ..self }
    }
}

fn kinds() -> Vec<Kind> {
    let head = |line: &str, headers: &str| format!("{line}\r\nHost: guiche\r\n{headers}\r\n");
    let with = |line: &str| head(&format!("{line} HTTP/1.1"), "");
    let get = |target: &str| with(&format!("GET {target}"));
    let header = |header: &str| head("GET /clientes/1/extrato HTTP/1.1", &format!("{header}\r\n"));
    let post = |header: &str, body: &str| {
        head("POST /clientes/1/transacoes HTTP/1.1", &format!("{header}\r\n")) + body
    };
    let sized = |size: usize| header(&format!("X: {}", "x".repeat(size)));
    let chunked = "Transfer-Encoding: chunked";
    vec![
        kind("an escape that is none", get("/clientes/100%/extrato"), NO_CLIENT).but_nginx(MALFORMED),
        kind("a NUL in the path", get("/clientes/1%00/extrato"), NO_CLIENT).but_nginx(MALFORMED),
        kind("above the root", get("/../extrato"), NO_PATH).but_nginx(MALFORMED),
        kind("a long path", get(&format!("/clientes/{}/extrato", "1".repeat(5_000))), NO_CLIENT)
            .but_nginx(HEAD_TOO_LARGE),
        kind("no target", "GET\r\n\r\n", MALFORMED),
        kind("an asterisk", with("OPTIONS *"), NO_PATH).but_nginx(MALFORMED),
        kind("OPTIONS", with("OPTIONS /clientes/1/extrato"), METHOD),
        kind("TRACE", with("TRACE /clientes/1/extrato"), METHOD),
        kind("CONNECT", with("CONNECT guiche:80"), NO_PATH).but_nginx(MALFORMED),
        kind("PUT", head("PUT /clientes/1/transacoes HTTP/1.1", "Content-Length: 0\r\n"), METHOD),
        kind("POST to a statement", with("POST /clientes/1/extrato"), METHOD),
        kind("DELETE of health", with("DELETE /readyz"), METHOD),
        kind("a method of one's own", with("BREW /clientes/1/extrato"), METHOD),
        kind("a method in small letters", with("get /clientes/1/extrato"), METHOD).but_nginx(MALFORMED),
        kind("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03abcdefgh\r\n\r\n", MALFORMED),
        kind("rubbish", "rubbish\r\n\r\n", MALFORMED),
        kind("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
        kind("a later version", head("GET /clientes/1/extrato HTTP/3.1", ""), MALFORMED),
        kind("no host", "GET /clientes/1/extrato HTTP/1.1\r\n\r\n", MALFORMED),
        kind("two hosts", header("Host: other"), MALFORMED),
        kind("a head of 5 kB", sized(5_000), GOOD_ANSWER).but_nginx(HEAD_TOO_LARGE),
        kind("a head of 200 kB", sized(200_000), HEAD_TOO_LARGE),
        kind("many headers", header(&["X: x"; 200].join("\r\n")), HEAD_TOO_LARGE),
        kind("a header without a colon", header("colon"), MALFORMED).but_nginx(GOOD_ANSWER),
        kind("a NUL in a header", header("X: a\0b"), MALFORMED),
        kind("a space before the colon", header("X : a"), MALFORMED),
        kind("a folded header", header("X: a\r\n b"), MALFORMED),
        kind("an unknown coding", post("Transfer-Encoding: gzip", ""), MALFORMED),
        kind("two lengths", post("Content-Length: 1\r\nContent-Length: 2", ""), MALFORMED),
        kind("a length and a coding", post(&format!("Content-Length: 1\r\n{chunked}"), ""), MALFORMED),
        kind("a length in letters", post("Content-Length: x", ""), MALFORMED),
        kind("a negative length", post("Content-Length: -1", ""), MALFORMED),
        kind("a length beyond numbers", post("Content-Length: 99999999999999999999999", ""), MALFORMED),
        kind("a large body", post("Content-Length: 999999", ""), TOO_LARGE),
        kind(
            "large chunks",
            post(chunked, &format!("4000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x4000))),
            TOO_LARGE,
        ),
        kind("no body", post("Content-Length: 0", ""), (400, "malformed-body")),
        kind("a chunk whose length is none", post(chunked, "zz\r\n"), MALFORMED),
        kind("a chunk that is longer than it says", post(chunked, "1\r\nabc\r\n0\r\n\r\n"), MALFORMED),
        kind("an upgrade", header("Upgrade: websocket\r\nConnection: upgrade"), GOOD_ANSWER),
        kind("the root", get("/"), NO_PATH),
        kind("no path of ours", get("/.refused/body"), NO_PATH),
    ]
}

/// The page is what is asserted below, of every kind and every way.
#[test]
fn the_page_of_answers_says_what_is_answered() {
    let files = BY_REQUEST.map(|balancing| balancing.to_string());
    let mut table =
        format!("| what is sent | an instance, layer4 | {} |\n|---|---|---|---|---|\n", files.join(" | "));
    let words = |(status, problem): Answer| format!("{status} {problem}").trim_end().to_owned();
    for Kind { name, instance, nginx, .. } in kinds() {
        let (instance, nginx) = (words(instance), words(nginx));
        table += &format!("| {name} | {instance} | {nginx} | {nginx} | {nginx} |\n");
    }
    assert_page_ends_with("docs/answers.md", &table);
}

async fn assert_answers(address: &Address, way: &str, expected: impl Fn(&Kind) -> Answer) {
    for kind in kinds() {
        let (name, (status, problem)) = (format!("{} to {way}", kind.name), expected(&kind));
        let mut connection = Connection::open(address).await.expect("it takes connections");
        // Who is refused early may be cut while still sending.
        let _ = connection.send_bytes(&kind.bytes).await;
        let response = connection.receive().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(response.header("x-request-id").is_some_and(|id| id.len() == 32), "{name}: {response:?}");
        if problem.is_empty() {
            assert_eq!(response.status, status, "{name}: {response:?}");
            continue;
        }
        response.assert_problem(status, problem, &name);
        if status == 405 {
            let posted = kind.bytes.windows(10).any(|window| window == b"transacoes");
            let allowed = if posted { "POST" } else { "GET, HEAD" };
            assert_eq!(response.header("allow"), Some(allowed), "{name}: {response:?}");
        }
        if problem == "malformed-request" {
            assert!(connection.is_closed().await, "{name}: one answer, and no more");
        }
    }
}

#[tokio::test]
async fn an_instance_answers_everything_in_its_own_words() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    assert_answers(guiche.address(), "an instance", |kind| kind.instance).await;
    let errors: Vec<_> = guiche.events().into_iter().filter(|event| event["level"] == "ERROR").collect();
    assert!(errors.is_empty(), "callers' mistakes: {errors:?}");
    assert_eq!(database.balance(1).await, 0);
}

#[tokio::test]
async fn nginx_answers_everything_in_the_words_of_an_instance() {
    for balancing in BY_REQUEST {
        let front = Front::on(balancing, &Database::create().await).await;
        assert_answers(&front.address, &balancing.to_string(), |kind| kind.nginx).await;
        assert_eq!(front.log(), "", "{balancing}: callers' mistakes");
    }
    let front = Front::on(Balancing::Layer4, &Database::create().await).await;
    assert_answers(&front.address, "layer4", |kind| kind.instance).await;
    assert_eq!(front.log(), "", "layer4: callers' mistakes");
}

#[tokio::test]
async fn a_head_request_is_a_get_without_its_body() {
    let database = Database::create().await;
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let front = Front::on(balancing, &database).await;
        let mut connection = Connection::open(&front.address).await.expect("it takes connections");
        for (path, status) in [
            ("/clientes/1/extrato", 200),
            ("/clientes/6/extrato", 404),
            ("/readyz", 200),
            ("/openapi.json", 200),
        ] {
            let got = connection.ask(&Request::get(path)).await.expect("an answer");
            connection.send(&Request::new("HEAD", path)).await.expect("it is taken");
            let head = connection.receive_head().await.expect("an answer");
            assert_eq!((head.status, got.status), (status, status), "{balancing}: {path}");
            for header in ["content-type", "content-length"] {
                assert_eq!(head.header(header), got.header(header), "{balancing}: {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_told_so_through_nginx() {
    let database = Database::create().await;
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let slow = async |request: &Request| {
            let impatient = async || {
                crate::harness::at_a_socket(Guiche::launcher(&database).set("READ_TIMEOUT_MS", 1_000))
                    .start()
                    .await
            };
            let front = Front::start(balancing, [impatient().await, impatient().await]).await;
            front.begin(request).await.receive().await.expect("an answer")
        };
        let announced = Request::new("POST", "/clientes/1/transacoes").header("Content-Length", "38");
        let response = slow(&announced.raw_body(&GOOD[..20])).await;
        response.assert_problem(408, "body-incomplete", &balancing.to_string());
    }
    assert_eq!(database.balance(1).await, 0);
}

/// Every head has its deadline, not a connection's first alone.
#[tokio::test]
async fn a_second_head_that_does_not_come_is_not_waited_for() {
    let guiche = Launcher::without_database().set("READ_TIMEOUT_MS", 2_000).start_listening().await;
    for parts in [&[&b"GET /healthz HTT"[..]][..], &[b"GET /healthz HTTP/1.1\r\n", b"Host: x\r", b"\n"]] {
        let mut kept = guiche.connect().await;
        assert_eq!(kept.ask(&Request::get("/healthz")).await.expect("an answer").status, 200);
        for part in parts {
            kept.send_bytes(part).await.expect("it is open");
        }
        let response = kept.receive().await.expect("an answer, not a hang");
        response.assert_problem(408, "head-incomplete", "half a head");
        assert!(kept.is_closed().await);
    }
}

/// A head that comes in pieces is whole once its last piece has come, wherever it was cut.
#[tokio::test]
async fn a_request_in_pieces_is_one() {
    let database = Database::create().await;
    let guiche = Guiche::on(&database).await;
    let request = Request::transaction(1, 1, "c", "pieces");
    let bytes = request.bytes();
    let end = request.head_len() - 4;
    let mut connection = guiche.connect().await;
    for cut in [1, end, end + 1, end + 2, end + 3, end + 4, end + 5] {
        connection.send_bytes(&bytes[..cut]).await.expect("it is open");
        connection.send_bytes(&bytes[cut..]).await.expect("it is open");
        connection.receive().await.expect("an answer").balance();
    }
    assert_eq!(database.balance(1).await, 7);
}

/// The instance refuses by the head alone, while NGINX still sends it the body: NGINX must not find the connection
/// closed, or it says of what was refused that its outcome is not known.
#[tokio::test]
async fn a_refusal_is_heard_although_the_body_comes_later() {
    let database = Database::create().await;
    let front = Front::on(Balancing::LeastConn, &database).await;
    let refused = [
        (404, Request::transaction(2_147_483_648, 1, "c", "nobody")),
        (413, Request::post("/clientes/1/transacoes", [b' '; 5_000])),
    ];
    let ask = async |status: u16, request: &Request| {
        let bytes = request.bytes();
        let end = request.head_len();
        let mut connection = Connection::open(&front.address).await.expect("NGINX takes connections");
        connection.send_bytes(&bytes[..end]).await.expect("it is open");
        // Whatever NGINX says of the head alone, the body is on its way.
        let _ = connection.send_bytes(&bytes[end..]).await;
        assert_eq!(connection.receive().await.expect("an answer").status, status);
    };
    for _ in 0..40 {
        let all = refused.iter().cycle().take(10);
        join_all(all.map(|(status, request)| ask(*status, request))).await;
    }
}
