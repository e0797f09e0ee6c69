//! nginx with what Debian's `nginx.conf` says around a site.

use tokio::process::Command;

use super::{DEFAULT_TIMEOUT, Site};
use crate::server;

pub(super) fn command(site: &Site<'_>) -> Command {
    let host = site.host();
    // A second address stands for the one of IPv6, which not every machine has.
    let second = format!("127.0.0.2:{}", site.port);
    let documented = site.write_documented(
        "nginx.conf",
        &[
            ("listen [::]:443 ", &format!("listen {second} ")),
            ("listen 443 ", &format!("listen {host} ")),
            ("hub.example.org;", "127.0.0.1;"),
            (
                "/etc/ssl/hub.example.org/fullchain.pem",
                &site.place("tls.crt"),
            ),
            ("/etc/ssl/hub.example.org/key.pem", &site.place("tls.key")),
        ],
    );
    let seconds = DEFAULT_TIMEOUT.as_secs();
    let around = format!(
        "user root;
worker_processes 2;
daemon off;
pid {pid};
error_log stderr;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    access_log off;
    gzip on;
    client_body_temp_path {tmp}/body;
    proxy_temp_path {tmp}/proxy;
    fastcgi_temp_path {tmp}/fastcgi;
    uwsgi_temp_path {tmp}/uwsgi;
    scgi_temp_path {tmp}/scgi;
    client_body_timeout {seconds}s;
    send_timeout {seconds}s;
    proxy_read_timeout {seconds}s;
    proxy_send_timeout {seconds}s;
    include {documented};
}}
",
        pid = site.place("nginx.pid"),
        tmp = site.place("tmp"),
    );
    let around = site.write("around.conf", &around);
    let mut command = server::bare("nginx");
    command.args(["-e", "stderr", "-p", &site.place(""), "-c", &around]);
    command
}
