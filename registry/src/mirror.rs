//! Smart proxies of kind `wharfinger`, at both ends.
//!
//! At the main server: [`main_server`] answers what its proxies ask, [`passed_on`] knows the requests that they pass on. At the proxy:
//! [`proxy`] serves what it holds, [`pass_on`] passes on what it does not decide itself, [`syncs`] takes the main server's word to come.

mod got;
pub(crate) mod main_server;
mod pass_on;
pub(crate) mod passed_on;
pub(crate) mod proxy;
pub(crate) mod syncs;
mod verdicts;

pub(crate) use pass_on::pass_on;
pub(crate) use proxy::Proxy;
