//! The description of the API (OpenAPI 3.1), made once out of what answers: the paths, the table of problems and the
//! types of bodies. Where metrics are served is not described: it is another address, which NGINX does not lead to.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use strum::IntoEnumIterator;
use time::macros::datetime;

use super::error::{MEDIA_TYPE, RETRY_AFTER_SECONDS};
use super::path::Path;
use super::problem::Problem;
use super::wire::{AppliedBody, ProblemBody, StatementBody, transaction_schema};
use crate::domain::{Applied, BankStatement, Entry, IdempotencyKey, Kind};

/// What `GET /openapi.json` answers.
pub(super) static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| serde_json::to_vec(&document()).expect("strings and numbers are always JSON").into());

fn document() -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let paths: Map<String, Value> =
        Path::iter().map(|path| (path.pattern().to_owned(), operations(path, &mut schemas))).collect();
    let elsewhere = |problem: &Problem| !Path::iter().any(|path| path.may_answer(problem));
    let refusals = refusals(elsewhere, &mut schemas);
    let responses: Map<String, Value> =
        refusals.into_iter().map(|(status, response)| (format!("Status{status}"), response)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "guiche",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A bank ledger: transactions and statements of its clients, in cents. Another method than \
                            a path's is answered as components/responses has it, another path with the problem \
                            no-such-path.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "schemas": schemas.take_definitions(true), "responses": responses },
    })
}

/// Returns the operations of a path.
fn operations(path: Path, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = refusals(|problem| path.may_answer(problem), schemas);
    responses.insert("200".to_owned(), success(path, schemas));
    let (id, summary) = match path {
        Path::Transactions => ("postTransaction", "Applies a transaction, and answers once it is committed"),
        Path::Statement => {
            ("getStatement", "Reads a client's balance and latest transactions, of one instant")
        }
        Path::Health => ("getHealth", "Says that the process is alive"),
        Path::Readiness => ("getReadiness", "Says whether the instance can apply transactions"),
        Path::Description => ("getDescription", "Describes the API"),
        Path::Problem => ("getProblem", "Says what a problem means, and what a caller may do"),
    };
    let mut operation = json!({ "operationId": id, "summary": summary, "responses": responses });
    if path == Path::Transactions {
        operation["requestBody"] = json!({
            "required": true,
            "description": "Read as JSON whatever Content-Type says.",
            "content": { "application/json": { "schema": transaction_schema() } },
        });
        return json!({ "parameters": parameters(path), "post": operation });
    }
    let mut head = operation.clone();
    head["operationId"] = format!("head{}", id.trim_start_matches("get")).into();
    head["summary"] = "The same without a body".into();
    for (_, response) in head["responses"].as_object_mut().expect("it was just made").iter_mut() {
        response.as_object_mut().expect("it was just made").remove("content");
    }
    json!({ "parameters": parameters(path), "get": operation, "head": head })
}

fn parameters(path: Path) -> Vec<Value> {
    let named = json!({
        "name": "X-Request-Id", "in": "header",
        "description": "What the answer and the log are to call the request: 1 to 128 visible ASCII characters. \
                        Anything else is replaced.",
        "schema": { "type": "string" },
    });
    let client = json!({
        "name": "id", "in": "path", "required": true, "description": "A client.",
        "schema": { "type": "integer", "format": "int32", "minimum": 0, "maximum": i32::MAX, "examples": [1] },
    });
    let slug = json!({
        "name": "slug", "in": "path", "required": true, "description": "The last part of a problem's type.",
        "schema": { "type": "string", "enum": Problem::one_of_each().map(|problem| problem.slug()) },
    });
    let key = json!({
        "name": "Idempotency-Key", "in": "header",
        "description": "A String of a structured field (RFC 9651): sent again under the same key, the same transaction \
                        of the same client is applied once, and answered with its first outcome.",
        "schema": {
            "type": "string", "format": "sf-string",
            "pattern": format!(r#"^"([ !#-\[\]-~]|\\["\\]){{1,{}}}"$"#, IdempotencyKey::MAX_CHARS),
            "examples": ["\"8e03978e-40d5-43dd-bc93-6894a57f9324\""],
        },
    });
    match path {
        Path::Transactions => vec![client, named, key],
        Path::Statement => vec![client, named],
        Path::Problem => vec![slug, named],
        Path::Health | Path::Readiness | Path::Description => vec![named],
    }
}

/// Returns the answer of a request that was granted.
fn success(path: Path, schemas: &mut SchemaGenerator) -> Value {
    let text = |example| json!({ "text/plain": { "schema": { "type": "string", "const": example } } });
    let (description, content) = match path {
        Path::Transactions => {
            let example = AppliedBody::from(Applied { balance: -9_098, credit_limit: 100_000 });
            let schema = schemas.subschema_for::<AppliedBody>();
            ("It is committed.", json!({ "application/json": { "schema": schema, "example": example } }))
        }
        Path::Statement => {
            let statement = example_statement();
            let example = StatementBody::from(&statement);
            let schema = schemas.subschema_for::<StatementBody<'_>>();
            ("All of one instant.", json!({ "application/json": { "schema": schema, "example": example } }))
        }
        Path::Health => ("It is alive.", text("Healthy")),
        Path::Readiness => ("It is ready.", text("Ready")),
        Path::Description => {
            ("This document.", json!({ "application/json": { "schema": { "type": "object" } } }))
        }
        Path::Problem => ("A page.", json!({ "text/html": { "schema": { "type": "string" } } })),
    };
    let mut headers = headers();
    let mut response = json!({ "description": description, "content": content });
    if matches!(path, Path::Transactions | Path::Statement) {
        headers["Server-Timing"] = json!({
            "description": "Where the time went (W3C Server-Timing), if SERVER_TIMING is on.",
            "schema": { "type": "string" },
        });
        let (name, operation) = match path {
            Path::Transactions => ("statement", "getStatement"),
            _ => ("transaction", "postTransaction"),
        };
        response["links"] = json!({
            name: { "operationId": operation, "parameters": { "id": "$request.path.id" } },
        });
    }
    response["headers"] = headers;
    response
}

fn example_statement() -> BankStatement {
    BankStatement {
        balance: -9_098,
        credit_limit: 100_000,
        issued_at: datetime!(2024-01-17 02:34:41.217753 UTC),
        latest: vec![Entry {
            amount: 9_098,
            kind: Kind::Debit,
            description: "rent".to_owned(),
            performed_at: datetime!(2024-01-17 02:34:38.543030 UTC),
        }],
    }
}

/// Returns the answers, by status, of requests that meet these problems.
fn refusals(meets: impl Fn(&Problem) -> bool, schemas: &mut SchemaGenerator) -> BTreeMap<String, Value> {
    let mut by_status: BTreeMap<StatusCode, Vec<Problem>> = BTreeMap::new();
    for problem in Problem::one_of_each().into_iter().filter(meets) {
        by_status.entry(problem.row().status).or_default().push(problem);
    }
    let response = |(status, problems): (StatusCode, Vec<Problem>)| {
        (status.as_str().to_owned(), refusal(&problems, schemas))
    };
    by_status.into_iter().map(response).collect()
}

fn refusal(problems: &[Problem], schemas: &mut SchemaGenerator) -> Value {
    let mut headers = headers();
    let mut examples = Map::new();
    for problem in problems {
        if problem.row().retry() {
            headers["Retry-After"] = json!({
                "description": "Seconds after which to try again.", "required": true,
                "schema": { "type": "integer", "const": RETRY_AFTER_SECONDS },
            });
        }
        if let Problem::MethodNotAllowed(example) = problem {
            headers["Allow"] = json!({
                "description": "The methods that the path takes.", "required": true,
                "schema": { "type": "string" }, "example": example,
            });
        }
        let body: Value = serde_json::from_slice(&problem.body()).expect("it was just written");
        let advice =
            json!({ "summary": problem.row().title, "description": problem.row().advice, "value": body });
        examples.insert(problem.slug().to_owned(), advice);
    }
    let titles: Vec<&str> = problems.iter().map(|problem| problem.row().title).collect();
    let types: Vec<String> = problems.iter().map(|problem| format!("/problems/{}", problem.slug())).collect();
    let schema = json!({
        "allOf": [
            schemas.subschema_for::<ProblemBody<'_>>(),
            { "properties": { "type": { "enum": types }, "status": { "const": problems[0].row().status.as_u16() } } },
        ],
    });
    json!({
        "description": titles.join("; "),
        "headers": headers,
        "content": { MEDIA_TYPE: { "schema": schema, "examples": examples } },
    })
}

/// Returns the headers that every answer has.
fn headers() -> Value {
    json!({
        "X-Request-Id": {
            "description": "What the log calls the request.", "required": true,
            "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_described_with_its_body() {
        let document = document().to_string();
        for problem in Problem::one_of_each() {
            let body: Value = serde_json::from_slice(&problem.body()).expect("it is JSON");
            assert!(document.contains(&body.to_string()), "{problem:?}");
        }
        let paths = Path::iter().all(|path| document.contains(&format!("{:?}:", path.pattern())));
        assert!(paths, "{document}");
    }
}
