//! What the service says of itself: `/openapi.json` describes every answer, NGINX's own among them, the `type` of a
//! problem leads to a page, and a program that reads the description finds nothing that is otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testbed::nginx::Balancing;

use crate::harness::{BY_REQUEST, Database, Front, Guiche, Launcher, Request, Response, schemathesis};

/// Every answer that the description has, by its problem's `type`.
fn described(document: &Value) -> BTreeMap<String, Value> {
    fn collect(value: &Value, found: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) => {
                if let Some(examples) = value["application/problem+json"]["examples"].as_object() {
                    for example in examples.values() {
                        let body = &example["value"];
                        found.insert(body["type"].as_str().expect("a type").to_owned(), body.clone());
                    }
                }
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(members) => members.iter().for_each(|member| collect(member, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    collect(document, &mut found);
    found
}

fn repository_file(path: &str) -> String {
    std::fs::read_to_string(testbed::repository_root().join(path)).expect("it is in the repository")
}

async fn document(guiche: &Guiche) -> Value {
    let response = guiche.get("/openapi.json").await;
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    response.json()
}

#[track_caller]
fn assert_page(page: &Response, problem: &Value) {
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8")),
        "{page:?}"
    );
    let title = problem["title"].as_str().expect("a title");
    assert!(page.text().contains(title), "{title}: {page:?}");
}

/// It needs no database.
#[tokio::test]
async fn every_problem_is_described_and_leads_to_a_page() {
    let guiche = Launcher::without_database().start_listening().await;
    let document = document(&guiche).await;
    assert_eq!(document["openapi"], "3.1.0");
    let problems = described(&document);
    for (path, problem) in &problems {
        assert_page(&guiche.get(path).await, problem);
    }
    guiche.get("/problems/of-my-own").await.assert_problem(404, "no-such-path", "a problem of nobody's");

    let statuses = |text: &str| -> BTreeSet<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let readme = repository_file("README.md");
    let (_, table) = readme.split_once("## What it answers").expect("the section is there");
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let told: BTreeSet<u64> = rows
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| statuses(line.split('|').nth(1).expect("a first column")))
        .collect();
    let mut answered: BTreeSet<u64> =
        problems.values().map(|problem| problem["status"].as_u64().expect("a status")).collect();
    answered.insert(200);
    assert_eq!(told, answered, "README and the description");
}

/// What a file of NGINX's answers by itself: the bodies in single quotes, in which a backslash stands before another.
fn own_answers(file: &str) -> Vec<Value> {
    let file = file.replace("\\'", "\\u0027");
    let bodies = file.split('\'').filter(|text| text.starts_with("{\"type\""));
    bodies.map(|text| serde_json::from_str(text).expect("it is JSON")).collect()
}

#[tokio::test]
async fn what_nginx_answers_itself_is_described_in_the_same_words() {
    let guiche = Launcher::without_database().start_listening().await;
    let problems = described(&document(&guiche).await);
    for balancing in BY_REQUEST {
        let own = own_answers(&repository_file(&format!("nginx/{balancing}.conf")));
        assert!(own.len() >= 7, "{balancing}: {own:?}");
        for answer in own {
            let known = &problems[answer["type"].as_str().expect("a type")];
            assert_eq!(
                (&answer["title"], &answer["status"]),
                (&known["title"], &known["status"]),
                "{balancing}"
            );
        }
    }
}

#[tokio::test]
async fn nginx_passes_the_description_and_the_pages_on() {
    let database = Database::create().await;
    for balancing in BY_REQUEST.into_iter().chain([Balancing::Layer4]) {
        let front = Front::on(balancing, &database).await;
        let mut caller = front.begin(&Request::transaction(1, 100_001, "d", "x")).await;
        let refused = caller.receive().await.expect("an answer");
        refused.assert_problem(422, "limit-exceeded", "a debit");
        let problem = refused.json();
        let page = Request::get(problem["type"].as_str().expect("a type"));
        assert_page(&caller.ask(&page).await.expect("an answer"), &problem);
        let description = caller.ask(&Request::get("/openapi.json")).await.expect("an answer");
        assert_eq!(description.json(), document(&front.instances[0]).await, "{balancing}");
    }
}

/// Every check, and the links from a transaction to its statement and back.
#[tokio::test]
async fn schemathesis_finds_nothing() {
    let database = Database::create().await;
    let front = Front::on(Balancing::LeastConn, &database).await;
    let said = schemathesis(&front.address).await;
    println!("{said}");
    assert!(said.contains("API Links:    3 covered"), "it followed the links: {said}");
}
