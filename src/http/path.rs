//! The service's paths: what each takes, who answers it, and with which problems it may be refused.

use actix_web::{Resource, Route, guard, web};
use strum::EnumIter;

use super::error::Problem;
use super::handlers;

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

    fn answer(self) -> Route {
        match self {
            Self::Transactions => web::route().to(handlers::post_transaction),
            Self::Statement => web::route().to(handlers::get_statement),
            Self::Health => web::route().to(handlers::healthz),
            Self::Readiness => web::route().to(handlers::readyz),
            Self::Description => web::route().to(handlers::description),
            Self::Problem => web::route().to(handlers::problem),
        }
    }

    /// Returns what serves it. A HEAD is a GET whose answer has no body; who sends what it does not take is told so.
    pub(super) fn resource(self) -> Resource {
        let resource = web::resource(self.pattern());
        let resource = match self {
            Self::Transactions => resource.route(self.answer().guard(guard::Post())),
            _ => resource.route(self.answer().guard(guard::Get())).route(self.answer().guard(guard::Head())),
        };
        let refuse = move |request, api| handlers::method_not_allowed(request, api, self);
        resource.default_service(web::route().to(refuse))
    }
}
