//! A proxy between an instance and its database.

use testbed::Proxy;
use testbed::http::Endpoint;

use super::Database;

impl Database {
    /// A proxy to its server, on a free port.
    pub(crate) fn proxy(&self) -> Proxy {
        let anywhere = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
        Proxy::start(&anywhere, Endpoint::Unix(self.socket()), 1).expect("a port for the proxy")
    }

    /// Its address through a proxy.
    pub(super) fn url_through(&self, proxy: &Proxy) -> String {
        format!("postgresql://guiche:guiche@{}/{}", proxy.endpoint(), self.name())
    }
}
