//! Caddy, which brings its time-outs with it: there are none around a site.

use tokio::process::Command;

use super::Site;
use crate::server;

pub(super) fn command(site: &Site<'_>) -> Command {
    let documented = site.write_documented(
        "Caddyfile",
        &[
            (
                "https://hub.example.org",
                &format!("https://{}", site.host()),
            ),
            (
                "/etc/ssl/hub.example.org/fullchain.pem",
                &site.place("tls.crt"),
            ),
            ("/etc/ssl/hub.example.org/key.pem", &site.place("tls.key")),
        ],
    );
    // Without them it would listen for its own administration and on the port of plain HTTP, on every address.
    let around = format!(
        "{{
\tadmin off
\tauto_https disable_redirects
\tdefault_bind 127.0.0.1
}}
import {documented}
"
    );
    let around = site.write("around.caddy", &around);
    let mut command = server::bare("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config", &around])
        .env("HOME", site.home)
        .env("XDG_DATA_HOME", site.home)
        .env("XDG_CONFIG_HOME", site.home);
    command
}
