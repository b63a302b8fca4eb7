//! The page's lanes.

use std::collections::{BTreeSet, HashMap};

use super::collect::{At, PageCall, PageRequest};

/// Lanes: a client's side by side, one for each instance.
pub(super) struct Lanes {
    pub(super) list: Vec<(Option<i32>, usize)>,
    positions: HashMap<(Option<i32>, usize), u32>,
    instance_of: Vec<usize>,
}

impl Lanes {
    pub(super) fn of(requests: &[At<PageRequest>], calls: &[At<PageCall>], instance_of: &[usize]) -> Self {
        let of_requests = requests.iter().map(|one| (one.what.client, instance_of[one.what.run]));
        let of_calls = calls.iter().flat_map(|one| {
            one.what.carries.iter().map(|(client, ..)| (Some(*client), instance_of[one.what.run]))
        });
        let lanes: BTreeSet<(Option<i32>, usize)> = of_requests.chain(of_calls).collect();
        // Those of no client come last.
        let (none, some): (Vec<_>, Vec<_>) = lanes.into_iter().partition(|(client, _)| client.is_none());
        let list: Vec<_> = some.into_iter().chain(none).collect();
        let positions = (0..).zip(&list).map(|(position, lane)| (*lane, position)).collect();
        Self { list, positions, instance_of: instance_of.to_vec() }
    }

    pub(super) fn find(&self, client: Option<i32>, run: usize) -> Option<u32> {
        self.positions.get(&(client, self.instance_of[run])).copied()
    }

    pub(super) fn of_known(&self, client: Option<i32>, run: usize) -> u32 {
        self.find(client, run).expect("every request and call was given a lane")
    }
}
