//! Apache with what Debian's `apache2.conf` says around a site.

use tokio::process::Command;

use super::{DEFAULT_TIMEOUT, Site};
use crate::server;

/// Where Debian keeps the modules.
const MODULES: &str = "/usr/lib/apache2/modules";

/// What Debian enables by itself, and what the documented file asks for.
const ENABLED: [&str; 13] = [
    "mpm_event",
    "authz_core",
    "deflate",
    "dir",
    "env",
    "filter",
    "reqtimeout",
    "setenvif",
    "ssl",
    "http2",
    "headers",
    "proxy",
    "proxy_http",
];

pub(super) fn command(site: &Site<'_>) -> Command {
    let documented = site.write_documented(
        "apache.conf",
        &[
            (
                "<VirtualHost *:443>",
                &format!("<VirtualHost {}>", site.host()),
            ),
            ("ServerName hub.example.org", "ServerName 127.0.0.1"),
            (
                "/etc/ssl/hub.example.org/fullchain.pem",
                &site.place("tls.crt"),
            ),
            ("/etc/ssl/hub.example.org/key.pem", &site.place("tls.key")),
        ],
    );
    let load = ENABLED.map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so"));
    let around = format!(
        "ServerRoot {home}
DefaultRuntimeDir {home}
PidFile {home}/apache.pid
ServerName 127.0.0.1
{load}
User www-data
Group www-data
Listen {host}
ErrorLog {home}/proxy.log
LogLevel warn
Timeout {seconds}
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
RequestReadTimeout header=20-40,minrate=500
RequestReadTimeout body={seconds},minrate=500
AddOutputFilterByType DEFLATE text/html text/plain application/json
Include {documented}
",
        home = site.place(""),
        load = load.join("\n"),
        host = site.host(),
        seconds = DEFAULT_TIMEOUT.as_secs(),
    );
    let around = site.write("around.conf", &around);
    let mut command = server::bare("apache2");
    command.args(["-DFOREGROUND", "-f", &around]);
    command
}
