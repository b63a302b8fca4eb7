//! The bank's values and how they are parsed: pure, no I/O, no framework.
//!
//! Every type with a private field can only be made by its parser, so whoever holds one holds a
//! valid one. Money is whole cents in `i64`. The rules are the contest's (Rinha de Backend
//! 2024/Q1); where its statement is silent, the parser says what was decided.

mod key;

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

pub use key::{IdempotencyKey, NotAKey};

/// A client of the bank.
///
/// Whether it exists is for the database alone to say: this is only a number that *could* be an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(i32);

impl ClientId {
    /// Returns the id as the database's `integer`, always zero or more.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl FromStr for ClientId {
    type Err = NotAClientId;

    /// Takes ASCII digits only (no sign, no spaces) whose value fits an `integer`.
    fn from_str(text: &str) -> Result<Self, NotAClientId> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAClientId);
        }
        text.parse().map(Self).map_err(|_| NotAClientId)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text cannot be the id of any client. To the outside it is the same as an unknown client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client id is a whole number from 0 to {}", i32::MAX)]
pub struct NotAClientId;

/// The cents of one transaction: always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64);

impl Amount {
    /// Returns the amount in cents, one or more.
    pub fn cents(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = InvalidField;

    fn try_from(cents: i64) -> Result<Self, InvalidField> {
        match cents {
            1.. => Ok(Self(cents)),
            _ => Err(InvalidField::AmountNotPositive),
        }
    }
}

/// The direction of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Adds to the balance (`c` on the wire).
    Credit,
    /// Takes from the balance, down to minus the credit limit (`d` on the wire).
    Debit,
}

impl Kind {
    /// Returns the letter that stands for it on the wire and in the database.
    pub fn letter(self) -> char {
        match self {
            Self::Credit => 'c',
            Self::Debit => 'd',
        }
    }
}

impl FromStr for Kind {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Self, InvalidField> {
        match text {
            "c" => Ok(Self::Credit),
            "d" => Ok(Self::Debit),
            _ => Err(InvalidField::UnknownKind),
        }
    }
}

/// What a transaction says of itself: 1 to 10 Unicode scalar values, none of them NUL
/// (which PostgreSQL's `text` cannot hold).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description(Box<str>);

impl Description {
    /// The most Unicode scalar values that a description may have.
    pub const MAX_CHARS: usize = 10;

    /// Returns the text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Description {
    type Error = InvalidField;

    fn try_from(text: &str) -> Result<Self, InvalidField> {
        // A scalar value takes at most four bytes: a long text is refused without counting it.
        let too_long = text.len() > 4 * Self::MAX_CHARS || text.chars().nth(Self::MAX_CHARS).is_some();
        if text.is_empty() || too_long {
            return Err(InvalidField::DescriptionLength);
        }
        if text.contains('\0') {
            return Err(InvalidField::DescriptionHasNul);
        }
        Ok(Self(text.into()))
    }
}

/// What is wrong with one field of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// An amount of zero or less.
    #[error("must be a positive whole number of cents")]
    AmountNotPositive,
    /// Neither credit nor debit.
    #[error("must be exactly \"c\" (credit) or \"d\" (debit)")]
    UnknownKind,
    /// Empty, or more than [`Description::MAX_CHARS`].
    #[error("must have 1 to {} characters", Description::MAX_CHARS)]
    DescriptionLength,
    /// U+0000, which PostgreSQL's `text` cannot hold.
    #[error("must not contain the character U+0000")]
    DescriptionHasNul,
}

/// What a client asks the ledger to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// How much.
    pub amount: Amount,
    /// In which direction.
    pub kind: Kind,
    /// What it says of itself.
    pub description: Description,
    /// The key under which it may be asked for again. Most have none: they pay for a pointer.
    pub key: Option<Box<IdempotencyKey>>,
}

/// What became of one transaction. A rejection is an outcome, not an error of the ledger. Whoever asks again under
/// the same key is given the first one.
pub type Outcome = Result<Applied, Rejection>;

/// A transaction that is committed: the figures right after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The client's balance after this transaction, in cents.
    pub balance: i64,
    /// How far below zero the balance may go, in cents.
    pub credit_limit: i64,
}

/// Why the ledger's rules do not allow a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// A debit would have taken the balance below minus the credit limit.
    LimitExceeded,
    /// The balance would have left the range of an `i64`.
    BalanceOverflow,
    /// There is no such client.
    UnknownClient,
    /// Its key was used for another transaction.
    KeyReused,
}

/// What a client owns and what happened last, all of one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankStatement {
    /// The balance in cents.
    pub balance: i64,
    /// How far below zero the balance may go, in cents.
    pub credit_limit: i64,
    /// When the database read it.
    pub issued_at: OffsetDateTime,
    /// The newest entries, newest first, at most ten.
    pub latest: Vec<Entry>,
}

/// One transaction as a statement shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Cents, always positive.
    pub amount: i64,
    /// In which direction.
    pub kind: Kind,
    /// What it says of itself.
    pub description: String,
    /// When the database applied it, after it had the client's row lock.
    pub performed_at: OffsetDateTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_plain_digits_that_fit() {
        for (text, id) in [("1", 1), ("0", 0), ("007", 7), ("2147483647", i32::MAX)] {
            assert_eq!(text.parse(), Ok(ClientId(id)), "{text}");
        }
        for text in ["", "-1", "+1", "1.0", "1e2", " 1", "a", "2147483648", "99999999999999999999"] {
            assert_eq!(text.parse::<ClientId>(), Err(NotAClientId), "{text}");
        }
    }

    #[test]
    fn an_amount_is_positive() {
        assert_eq!(Amount::try_from(1), Ok(Amount(1)));
        assert_eq!(Amount::try_from(i64::MAX), Ok(Amount(i64::MAX)));
        for cents in [0, -1, i64::MIN] {
            assert_eq!(Amount::try_from(cents), Err(InvalidField::AmountNotPositive), "{cents}");
        }
    }

    #[test]
    fn a_kind_is_one_exact_letter() {
        assert_eq!("c".parse(), Ok(Kind::Credit));
        assert_eq!("d".parse(), Ok(Kind::Debit));
        for text in ["", "C", "x", "cd", " c"] {
            assert_eq!(text.parse::<Kind>(), Err(InvalidField::UnknownKind), "{text:?}");
        }
    }

    #[test]
    fn a_description_is_counted_in_scalar_values() {
        for text in ["a", "0123456789", "çãõéíóúàêô", "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀"] {
            assert_eq!(Description::try_from(text).map(|d| d.as_str().to_owned()), Ok(text.to_owned()));
        }
        for text in ["", "01234567890", "çãõéíóúàêôü", "🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀"]
        {
            assert_eq!(Description::try_from(text), Err(InvalidField::DescriptionLength), "{text:?}");
        }
        assert_eq!(Description::try_from("a\0b"), Err(InvalidField::DescriptionHasNul));
    }
}
