//! `HAProxy` with the sections `global` and `defaults` of Debian before the documented ones.

use std::fs;

use tokio::process::Command;

use super::{DEFAULT_TIMEOUT, Site};
use crate::server;

pub(super) fn command(site: &Site<'_>) -> Command {
    let read = |name: &str| fs::read_to_string(site.home.join(name)).expect("a file of ours");
    let both = site.write("both.pem", &(read("tls.crt") + &read("tls.key")));
    let documented = site.write_documented(
        "haproxy.cfg",
        &[
            ("bind :443 ", &format!("bind {} ", site.host())),
            ("/etc/haproxy/hub.example.org.pem", &both),
        ],
    );
    let seconds = DEFAULT_TIMEOUT.as_secs();
    let around = format!(
        "global
    log stderr local0 notice
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

defaults
    log global
    mode http
    option httplog
    option dontlognull
    timeout connect {seconds}s
    timeout client {seconds}s
    timeout server {seconds}s
"
    );
    let around = site.write("around.cfg", &around);
    let mut command = server::bare("haproxy");
    command.args(["-db", "-f", &around, "-f", &documented]);
    command
}
