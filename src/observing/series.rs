//! The labels of requests and of calls, and the series that are there from the start.

use prometheus_client::encoding::EncodeLabelSet;

use super::labelled::LabelledHistogram;

/// A request's route and status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    pub(super) route: &'static str,
    pub(super) status: u16,
}

/// What a call carried, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    pub(super) carried: &'static str,
    pub(super) fate: &'static str,
}

/// Makes the histogram of requests, with the series of every route and its statuses, the most frequent first.
pub(super) fn known_requests(bounds: &'static [f64]) -> LabelledHistogram<RequestLabels> {
    let routes: [(&str, &[u16]); 7] = [
        ("transacoes", &[200, 422, 404, 503, 504, 400, 405, 408, 413]),
        ("extrato", &[200, 404, 503, 405]),
        ("healthz", &[200, 405]),
        ("readyz", &[200, 503, 405]),
        ("openapi", &[200, 405]),
        ("problems", &[200, 404, 405]),
        (NO_ROUTE, &[404]),
    ];
    let known = routes
        .iter()
        .flat_map(|(route, statuses)| statuses.iter().map(|status| RequestLabels { status: *status, route }));
    LabelledHistogram::new(known, bounds)
}

/// Makes the histogram of calls.
pub(super) fn known_calls(bounds: &'static [f64]) -> LabelledHistogram<CallLabels> {
    let carried = [TRANSACTIONS, BOTH, STATEMENTS].into_iter();
    let known = carried
        .flat_map(|carried| [ANSWERED, "rolled_back", "unknown"].map(|fate| CallLabels { carried, fate }));
    LabelledHistogram::new(known, bounds)
}

/// The route of a path that is none.
pub(super) const NO_ROUTE: &str = "none";

pub(super) const TRANSACTIONS: &str = "transactions";
pub(super) const STATEMENTS: &str = "statements";
pub(super) const BOTH: &str = "both";
pub(super) const ANSWERED: &str = "answered";
