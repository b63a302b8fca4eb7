//! What the rows of a call say of who had them before it: the database's own account, by ids of its
//! transactions.

use serde::{Deserialize, Serialize};

/// An id of a database transaction: 32 bits that wrap around, so that of two the one is older that
/// is less than half a turn behind. 0 is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Xid(pub u32);

/// What the database tells of a call's rows and of its own place among database transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// When the call began there, by the database's clock: microseconds since the Unix epoch.
    pub at: u64,
    /// The oldest database transaction that was not over then: those before it held nobody up.
    pub oldest: Xid,
    /// Which of the database's servers it is, from 0: ids of different ones say nothing of each other.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub server: u64,
    /// The server's process that served it.
    #[serde(default)]
    pub session: i64,
    /// The call's own: its database transaction, and those within it that have changed its rows.
    /// Empty if it locked nothing.
    #[serde(default)]
    pub ids: Vec<Xid>,
    /// The client of each row that it locked (or looked at, if it locked nothing), who had changed
    /// the row last before it, and who had it locked when the call looked for it, or the call itself
    /// if the row was changed since.
    #[serde(default)]
    pub rows: Vec<(i32, Xid, Xid)>,
}

impl Xid {
    /// Returns the id of a number that has more bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an id is what its low bits say"
    )]
    pub fn of(number: i64) -> Self {
        Self(number as u32)
    }

    /// Returns whether it is that of a transaction.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Returns whether it was drawn before the other.
    #[expect(clippy::cast_possible_wrap, reason = "the sign says which half of a turn it is in")]
    pub fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }
}

impl Locks {
    /// Reads the array that the stored function gives: when it began, the oldest transaction, the session, the
    /// number of rows, their clients, as many changers, as many lockers, and the call's own ids.
    /// `None` if it is no such array.
    pub fn read(array: &[i64]) -> Option<Self> {
        let [at, oldest, session, rows, rest @ ..] = array else { return None };
        let rows = usize::try_from(*rows).ok()?;
        let (clients, rest) = rest.split_at_checked(rows)?;
        let (changers, rest) = rest.split_at_checked(rows)?;
        let (lockers, ids) = rest.split_at_checked(rows)?;
        let ids = ids.iter().copied().map(Xid::of).collect();
        let row = |((client, changer), locker): ((&i64, &i64), &i64)| {
            Some((i32::try_from(*client).ok()?, Xid::of(*changer), Xid::of(*locker)))
        };
        let rows = clients.iter().zip(changers).zip(lockers).map(row).collect::<Option<_>>()?;
        let at = u64::try_from(*at).ok()?;
        Some(Self { at, oldest: Xid::of(*oldest), server: 0, session: *session, ids, rows })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_function_gives_is_read() {
        let array = [1_717_243_201_000_990, 740, 555, 2, 1, 2, 741, 736, 0, 739, 742, 743];
        let rows = vec![(1, Xid(741), Xid(0)), (2, Xid(736), Xid(739))];
        let ids = vec![Xid(742), Xid(743)];
        let locks = Locks { at: 1_717_243_201_000_990, oldest: Xid(740), server: 0, session: 555, ids, rows };
        assert_eq!(Locks::read(&array), Some(locks));
        assert_eq!(Locks::read(&[5, 740, 555, 0]).map(|locks| locks.rows.len()), Some(0), "no such client");
        for broken in [&[][..], &[5, 740, 555], &[5, 740, 555, 1], &[5, 740, 555, -1, 1], &[-5, 740, 555, 0]]
        {
            assert_eq!(Locks::read(broken), None, "{broken:?}");
        }
    }

    /// The database counts in 64 bits, and rows have the low 32 of them.
    #[test]
    fn ids_wrap_around() {
        assert_eq!(Xid::of((1 << 32) + 7), Xid(7));
        assert_eq!(Xid::of(u32::MAX.into()), Xid(u32::MAX));
        assert!(Xid(u32::MAX).is_before(Xid(3)) && !Xid(3).is_before(Xid(u32::MAX)));
        assert!(Xid(3).is_before(Xid(4)) && !Xid(4).is_before(Xid(4)));
    }
}
