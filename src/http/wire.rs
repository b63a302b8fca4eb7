//! JSON on the wire ↔ the domain. The contest fixes the field names; they appear only here.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::domain::{Amount, Applied, BankStatement, Description, InvalidField, Kind, Transaction};

/// Why a body is no transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    /// It is not JSON at all.
    NotJson(String),
    /// It is JSON, but its fields are not those of a transaction; at least one problem.
    Invalid(Vec<FieldProblem>),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct FieldProblem {
    /// The field's name, or nothing for the body as a whole.
    pub(super) field: &'static str,
    /// What it must be.
    pub(super) detail: String,
}

/// A body's fields, as they are written; `twice` where one stands there more than once.
#[derive(Default)]
struct Fields<'a> {
    valor: Option<&'a RawValue>,
    tipo: Option<&'a RawValue>,
    descricao: Option<&'a RawValue>,
    twice: bool,
}

/// Reads a transaction out of a request's body, by these rules:
///
/// - It is JSON if it is UTF-8 and has RFC 8259's grammar, however deep its values or large its numbers
///   are: its length is bounded, and nothing of it is built but what a transaction needs. That is decided
///   first, so it does not depend on which fields are wrong.
/// - It is an object with `valor`, `tipo` and `descricao`, each once, names unescaped. What other fields
///   hold is ignored.
/// - An amount is an integer: `1.0` and `1e2` are not. A text is a string without lone surrogates.
pub(super) fn parse_transaction(body: &[u8]) -> Result<Transaction, BadBody> {
    let not_json = |error: serde_json::Error| BadBody::NotJson(error.to_string());
    let body = std::str::from_utf8(body)
        .map_err(|error| BadBody::NotJson(format!("not UTF-8 from byte {} on", error.valid_up_to())))?;
    if !body.trim_ascii_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(body).map_err(not_json)?;
        return invalid("", "must be a JSON object with valor, tipo and descricao");
    }
    let fields: Fields<'_> = serde_json::from_str(body).map_err(not_json)?;
    match (
        amount(fields.valor),
        text(fields.tipo, str::parse),
        text(fields.descricao, |text| Description::try_from(text)),
    ) {
        (Ok(amount), Ok(kind), Ok(description)) if !fields.twice => {
            Ok(Transaction { amount, kind, description, key: None })
        }
        (Ok(_), Ok(_), Ok(_)) => invalid("", "must have each of valor, tipo and descricao once"),
        (amount, kind, description) => {
            let wrong = [("valor", amount.err()), ("tipo", kind.err()), ("descricao", description.err())];
            let problem =
                |(field, detail): (_, Option<_>)| detail.map(|detail| FieldProblem { field, detail });
            Err(BadBody::Invalid(wrong.into_iter().filter_map(problem).collect()))
        }
    }
}

/// Returns what these rules say of a body that is a transaction (JSON Schema). An integer that is written with a
/// fraction or an exponent is one for JSON Schema and none here.
pub(super) fn transaction_schema() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["valor", "tipo", "descricao"],
        "examples": [{ "valor": 1000, "tipo": "c", "descricao": "salary" }],
        "properties": {
            "valor": {
                "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX,
                "description": "Cents, written without a fraction or an exponent.",
            },
            "tipo": {
                "type": "string", "enum": [Kind::Credit.letter(), Kind::Debit.letter()],
                "description": "c is a credit, d a debit.",
            },
            "descricao": {
                "type": "string", "minLength": 1, "maxLength": Description::MAX_CHARS, "pattern": "^[^\\u0000]*$",
                "description": "Counted in Unicode scalar values.",
            },
        },
    })
}

fn invalid<T>(field: &'static str, detail: &str) -> Result<T, BadBody> {
    Err(BadBody::Invalid(vec![FieldProblem { field, detail: detail.to_owned() }]))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some((name, value)) = members.next_entry::<&RawValue, &RawValue>()? {
                    let field = match unescape(name.get()).as_deref() {
                        Some("valor") => &mut fields.valor,
                        Some("tipo") => &mut fields.tipo,
                        Some("descricao") => &mut fields.descricao,
                        _ => continue,
                    };
                    fields.twice |= field.replace(value).is_some();
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Returns the text of a JSON string; nothing where it is none, or no Unicode.
fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    let text = raw.strip_prefix('"')?.strip_suffix('"')?;
    if text.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(text.into()) }
}

fn amount(raw: Option<&RawValue>) -> Result<Amount, String> {
    let raw = raw.ok_or("is required")?.get();
    if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err("must be a JSON number".to_owned());
    }
    match raw.parse::<i64>() {
        Ok(cents) => Amount::try_from(cents).map_err(|error| error.to_string()),
        Err(_) if raw.contains(['.', 'e', 'E']) => {
            Err("must be a whole number, written without a fraction or an exponent".to_owned())
        }
        Err(_) if raw.starts_with('-') => Err(InvalidField::AmountNotPositive.to_string()),
        Err(_) => Err(format!("must be at most {}", i64::MAX)),
    }
}

fn text<T>(raw: Option<&RawValue>, parse: impl Fn(&str) -> Result<T, InvalidField>) -> Result<T, String> {
    let raw = raw.ok_or("is required")?.get();
    if !raw.starts_with('"') {
        return Err("must be a JSON string".to_owned());
    }
    let text = unescape(raw).ok_or("must be Unicode: it has half of a surrogate pair")?;
    parse(&text).map_err(|error| error.to_string())
}

/// The body of an answer that is no 200 (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    /// Which problem it is; as a link, it leads to a page that says what a caller may do.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri-reference"))]
    kind: String,
    /// The problem in words.
    title: &'a str,
    /// The answer's status.
    status: u16,
    /// What is known of this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    detail: Option<String>,
    /// The fields that are wrong.
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Applied")]
pub(super) struct AppliedBody {
    /// How far below zero the balance may go.
    limite: i64,
    /// The balance after this transaction.
    saldo: i64,
}

impl From<Applied> for AppliedBody {
    fn from(Applied { balance, credit_limit }: Applied) -> Self {
        Self { limite: credit_limit, saldo: balance }
    }
}

/// The answer to a request for a statement.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Statement")]
pub(super) struct StatementBody<'a> {
    saldo: BalanceBody,
    /// The newest, newest first.
    #[schemars(length(max = 10))]
    ultimas_transacoes: Vec<EntryBody<'a>>,
}

/// What a client has, in cents.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Balance")]
struct BalanceBody {
    total: i64,
    #[schemars(with = "String", extend("format" = "date-time"))]
    data_extrato: Timestamp,
    /// How far below zero the balance may go.
    limite: i64,
}

/// A transaction that was applied.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
struct EntryBody<'a> {
    /// Cents.
    #[schemars(range(min = 1))]
    valor: i64,
    #[schemars(extend("enum" = ["c", "d"]))]
    tipo: char,
    #[schemars(length(min = 1, max = 10))]
    descricao: &'a str,
    #[schemars(with = "String", extend("format" = "date-time"))]
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
#[path = "wire_tests.rs"]
mod tests;
