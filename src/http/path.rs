//! The service's paths: what each takes, and with which problems it may be refused.

use strum::EnumIter;

use super::problem::Problem;

/// A path of the service. The routes and their description are both made from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter)]
pub(super) enum Path {
    /// A transaction is applied. It comes first, since paths are matched in this order.
    Transactions,
    /// A statement is read.
    Statement,
    /// Whether the process is alive.
    Health,
    /// Whether the instance can apply transactions.
    Readiness,
    /// The description of all this.
    Description,
    /// What a problem means.
    Problem,
}

impl Path {
    /// Returns the path as the router matches it.
    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Transactions => "/clientes/{id}/transacoes",
            Self::Statement => "/clientes/{id}/extrato",
            Self::Health => "/healthz",
            Self::Readiness => "/readyz",
            Self::Description => "/openapi.json",
            Self::Problem => "/problems/{slug}",
        }
    }

    /// Returns what metrics call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transacoes",
            Self::Statement => "extrato",
            Self::Health => "healthz",
            Self::Readiness => "readyz",
            Self::Description => "openapi",
            Self::Problem => "problems",
        }
    }

    /// Returns the methods that it takes, as `Allow` names them.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Transactions => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Returns whether a request of it may be answered with this problem, by an instance or by NGINX. What comes of
    /// another method, and of no path at all, is nobody's.
    pub(super) fn may_answer(self, problem: &Problem) -> bool {
        match problem {
            Problem::MalformedRequest
            | Problem::HeadTooLarge
            | Problem::HeadIncomplete
            | Problem::BodyTooLarge(_)
            | Problem::Unavailable => true,
            // A parameter that is empty leads nowhere.
            Problem::NoSuchPath => self.pattern().contains('{'),
            Problem::MethodNotAllowed(_) => false,
            Problem::UnknownClient | Problem::Overloaded(_) => {
                matches!(self, Self::Transactions | Self::Statement)
            }
            Problem::MalformedBody(_)
            | Problem::InvalidTransaction(_)
            | Problem::BodyIncomplete
            | Problem::InvalidKey(_)
            | Problem::KeyReused
            | Problem::LimitExceeded
            | Problem::BalanceOverflow
            | Problem::OutcomeUnknown => self == Self::Transactions,
            Problem::NotReady(_) => self == Self::Readiness,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;
    use crate::observing::metrics::Metrics;

    #[test]
    fn the_series_of_each_path_are_there_at_the_start() {
        let text = Metrics::new("one").encode();
        for path in Path::iter() {
            for status in [200, 405] {
                let labels = format!("route=\"{}\",status=\"{status}\"", path.name());
                assert!(text.contains(&labels), "{labels}");
            }
        }
    }
}
