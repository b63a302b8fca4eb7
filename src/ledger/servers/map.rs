//! Which server has which clients.

use super::super::LedgerOptions;
use super::{Part, Said, unusable};
use crate::domain::ClientId;
use crate::mailbox::LedgerError;

#[derive(Debug, Default)]
pub(super) struct Map {
    said: Vec<Said>,
    /// All that there ever were, so that each keeps its position.
    known: Vec<(String, LedgerOptions)>,
    /// The least hash of each shard, rising, and where it is; empty where clients are placed by their ids.
    shards: Vec<(i32, usize)>,
}

impl Map {
    /// Returns whether it is of what is said.
    pub(super) fn says(&self, said: &[Said]) -> bool {
        self.said == said
    }

    /// Returns whether clients are placed by shards, not by their ids.
    pub(super) fn is_of_shards(&self) -> bool {
        !self.shards.is_empty()
    }

    /// Returns how a server is reached.
    pub(super) fn options(&self, server: usize) -> Option<LedgerOptions> {
        self.known.get(server).map(|(_, options)| options.clone())
    }

    /// Returns those that have clients.
    pub(super) fn in_use(&self) -> Vec<usize> {
        let has_any =
            |server: &usize| !self.is_of_shards() || self.shards.iter().any(|(_, has)| has == server);
        (0..self.known.len()).filter(has_any).collect()
    }

    /// Returns which of them has the client.
    pub(super) fn of(&self, client: ClientId) -> usize {
        if !self.is_of_shards() {
            return client.get().rem_euclid(self.known.len() as i32) as usize;
        }
        let hash = hash(client.get());
        let shard = self.shards.partition_point(|(least, _)| *least <= hash) - 1;
        self.shards[shard].1
    }

    /// Returns what it is once this is said.
    ///
    /// # Errors
    /// When they are none that an engine can have, or the address of one cannot be used.
    pub(super) fn with(&self, front: &LedgerOptions, said: Vec<Said>) -> Result<Self, LedgerError> {
        let sharded = said.iter().any(|server| server.shards.is_some());
        let count = said.len() as i32;
        let parts = said.iter().map(|server| server.part);
        if !parts.eq((0..count).map(|number| Part { number, of: count })) {
            return Err(unusable("Servidores gives other servers than those from 0 on".to_owned()));
        }
        if !sharded && !said.len().is_power_of_two() {
            return Err(unusable("Servidores gives other servers than a power of two".to_owned()));
        }
        let (mut known, mut shards) = (self.known.clone(), Vec::new());
        for server in &said {
            let address = server.address.clone().unwrap_or_default();
            let position = known.iter().position(|(known, _)| *known == address).unwrap_or(known.len());
            if position == known.len() {
                known.push((address, front.of_server(server)?));
            }
            shards.extend(server.shards.iter().flatten().map(|least| (*least, position)));
        }
        shards.sort_unstable();
        if sharded && shards.first().is_none_or(|(least, _)| *least != i32::MIN) {
            return Err(unusable("Servidores leaves clients without a server".to_owned()));
        }
        Ok(Self { said, known, shards })
    }
}

/// Returns PostgreSQL's `hashint4`, by which Citus places clients: the last step of Bob Jenkins' lookup3 (2006).
fn hash(id: i32) -> i32 {
    let start = 0x9e37_79b9_u32.wrapping_add(4 + 3_923_095);
    let (mut a, mut b, mut c) = (start.wrapping_add(id as u32), start, start);
    let mix = |into: &mut u32, from: u32, by: u32| *into = (*into ^ from).wrapping_sub(from.rotate_left(by));
    mix(&mut c, b, 14);
    mix(&mut a, c, 11);
    mix(&mut b, a, 25);
    mix(&mut c, b, 16);
    mix(&mut a, c, 4);
    mix(&mut b, a, 14);
    mix(&mut c, b, 24);
    c as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_hashed_as_postgresql_does() {
        // SELECT id, hashint4(id) FROM unnest('{1,5,2147483647}'::int[]) id
        for (id, hashed) in [(1, -1_905_060_026), (5, -1_330_264_708), (i32::MAX, -96_758_253)] {
            assert_eq!(hash(id), hashed, "{id}");
        }
    }
}
