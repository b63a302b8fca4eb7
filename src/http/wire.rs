//! JSON on the wire ↔ the domain. The contest fixes the field names; they appear only here.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::domain::{Amount, Applied, BankStatement, Description, Kind, Transaction};

/// Why a body is no transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// It is not JSON at all.
    NotJson(String),
    /// It is JSON, but its fields are not those of a transaction; at least one problem.
    Invalid(Vec<FieldProblem>),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct FieldProblem {
    /// The field's name, or nothing for the body as a whole.
    pub(super) field: &'static str,
    /// What it must be.
    pub(super) detail: String,
}

#[derive(Deserialize)]
struct TransactionBody<'a> {
    valor: i64,
    #[serde(borrow)]
    tipo: Cow<'a, str>,
    #[serde(borrow)]
    descricao: Cow<'a, str>,
}

/// Reads a transaction out of a request's body.
///
/// Amounts are JSON integers: `1.0` and `1e2` are not. Other fields are ignored.
pub(super) fn parse_transaction(body: &[u8]) -> Result<Transaction, BadBody> {
    // Serde also builds structs from arrays, which the contest's JSON is not.
    if is_object(body)
        && let Ok(parsed) = serde_json::from_slice::<TransactionBody<'_>>(body)
        && let Ok(transaction) = Transaction::try_from(&parsed)
    {
        return Ok(transaction);
    }
    Err(explain(body))
}

fn is_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

impl TryFrom<&TransactionBody<'_>> for Transaction {
    type Error = crate::domain::InvalidField;

    fn try_from(body: &TransactionBody<'_>) -> Result<Self, Self::Error> {
        Ok(Self {
            amount: body.valor.try_into()?,
            kind: body.tipo.parse()?,
            description: body.descricao.as_ref().try_into()?,
        })
    }
}

/// The slow way round, for a body that was refused: says everything that is wrong with it.
fn explain(body: &[u8]) -> BadBody {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return BadBody::NotJson(error.to_string()),
    };
    let Value::Object(fields) = &value else {
        return invalid("", "must be a JSON object with valor, tipo and descricao");
    };
    let mut problems = Vec::new();
    let mut check = |field, problem: Option<String>| {
        problems.extend(problem.map(|detail| FieldProblem { field, detail }));
    };
    check("valor", amount_problem(fields.get("valor")));
    check("tipo", text_problem(fields.get("tipo"), |text| text.parse::<Kind>()));
    check("descricao", text_problem(fields.get("descricao"), |text| Description::try_from(text)));
    if problems.is_empty() {
        // The fields are right one by one, so what serde refused was the object: a field twice.
        return invalid("", "must have each of valor, tipo and descricao once");
    }
    BadBody::Invalid(problems)
}

fn invalid(field: &'static str, detail: &str) -> BadBody {
    BadBody::Invalid(vec![FieldProblem { field, detail: detail.to_owned() }])
}

fn amount_problem(value: Option<&Value>) -> Option<String> {
    match value {
        None => Some("is required".to_owned()),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(cents) => Amount::try_from(cents).err().map(|error| error.to_string()),
            None if number.is_u64() => Some(format!("must be at most {}", i64::MAX)),
            None => Some("must be a whole number, written without a fraction or an exponent".to_owned()),
        },
        Some(_) => Some("must be a JSON number".to_owned()),
    }
}

fn text_problem<T, E: fmt::Display>(
    value: Option<&Value>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<String> {
    match value {
        None => Some("is required".to_owned()),
        Some(Value::String(text)) => parse(text).err().map(|error| error.to_string()),
        Some(_) => Some("must be a JSON string".to_owned()),
    }
}

/// The body of an answer that is no 200 (RFC 9457).
#[derive(Serialize)]
pub(super) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldProblem],
}

impl<'a> ProblemBody<'a> {
    /// `slug` is the last part of the problem's `type`.
    pub(super) fn new(
        slug: &str,
        title: &'a str,
        status: u16,
        detail: Option<String>,
        errors: &'a [FieldProblem],
    ) -> Self {
        Self { kind: format!("/problems/{slug}"), title, status, detail, errors }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are always JSON")
    }
}

/// The answer to a transaction that was applied, in cents.
#[derive(Serialize)]
pub(super) struct AppliedBody {
    limite: i64,
    saldo: i64,
}

impl From<Applied> for AppliedBody {
    fn from(Applied { balance, credit_limit }: Applied) -> Self {
        Self { limite: credit_limit, saldo: balance }
    }
}

/// The answer to a request for a statement.
#[derive(Serialize)]
pub(super) struct StatementBody<'a> {
    saldo: BalanceBody,
    ultimas_transacoes: Vec<EntryBody<'a>>,
}

#[derive(Serialize)]
struct BalanceBody {
    total: i64,
    data_extrato: Timestamp,
    limite: i64,
}

#[derive(Serialize)]
struct EntryBody<'a> {
    valor: i64,
    tipo: char,
    descricao: &'a str,
    realizada_em: Timestamp,
}

impl<'a> From<&'a BankStatement> for StatementBody<'a> {
    fn from(statement: &'a BankStatement) -> Self {
        let entries = statement.latest.iter().map(|entry| EntryBody {
            valor: entry.amount,
            tipo: entry.kind.letter(),
            descricao: &entry.description,
            realizada_em: Timestamp(entry.performed_at),
        });
        Self {
            saldo: BalanceBody {
                total: statement.balance,
                data_extrato: Timestamp(statement.issued_at),
                limite: statement.credit_limit,
            },
            ultimas_transacoes: entries.collect(),
        }
    }
}

/// RFC 3339 in UTC with microseconds, which is what PostgreSQL keeps.
struct Timestamp(OffsetDateTime);

const RFC_3339_MICROS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let utc = self.0.to_offset(time::UtcOffset::UTC);
        let text = utc.format(RFC_3339_MICROS).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

#[cfg(test)]
mod tests {
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
            (r#"{"valor":1e999,"tipo":"d","descricao":"x"}"#, vec![]),
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
            if wrong.is_empty() {
                assert!(parse_transaction(body.as_bytes()).is_err(), "{body}");
            } else {
                assert_eq!(fields(body), wrong, "{body}");
            }
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
            b"{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"\\ud800\"}",
            b"\xef\xbb\xbf{\"valor\":1,\"tipo\":\"d\",\"descricao\":\"x\"}",
        ] {
            let error = parse_transaction(body).expect_err("not JSON");
            assert!(matches!(error, BadBody::NotJson(_)), "{}: {error:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_harm() {
        let body = format!(r#"{{"x":{}"#, "[".repeat(4_000));
        assert!(matches!(parse_transaction(body.as_bytes()), Err(BadBody::NotJson(_))));
    }

    #[test]
    fn times_are_rfc_3339_in_utc_with_microseconds() {
        let time = time::macros::datetime!(2024-01-17 02:34:38.543030 +02:00);
        let json = serde_json::to_string(&Timestamp(time)).expect("a valid time");
        assert_eq!(json, r#""2024-01-17T00:34:38.543030Z""#);
    }
}
