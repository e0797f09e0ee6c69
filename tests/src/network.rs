//! A network between two hosts on one machine: this one, and a namespace of its own that can be cut off.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// Networks of one run of the tests, each with other addresses.
static NEXT: AtomicU8 = AtomicU8::new(0);

/// A namespace with a line to this one. Dropping it takes both away.
pub struct Network {
    namespace: String,
    line: String,
    number: u8,
}

impl Network {
    /// A new one, with a line that works.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let network = Self {
            namespace: format!("wharf-{id}-{number}"),
            line: format!("wh{}n{number}", id % 1_000_000),
            number,
        };
        let (namespace, line) = (&network.namespace, &network.line);
        let there = format!("{line}p");
        ip(&["netns", "add", namespace]);
        ip(&[
            "link", "add", line, "type", "veth", "peer", "name", &there, "netns", namespace,
        ]);
        ip(&[
            "addr",
            "add",
            &format!("{}/24", network.here()),
            "dev",
            line,
        ]);
        ip(&["link", "set", line, "up"]);
        network.inside(&[
            "addr",
            "add",
            &format!("{}/24", network.there()),
            "dev",
            &there,
        ]);
        network.inside(&["link", "set", &there, "up"]);
        network.inside(&["link", "set", "lo", "up"]);
        network
    }

    /// The address of this host on the line.
    pub fn here(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 1)
    }

    /// The address of the other host.
    pub fn there(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 2)
    }

    /// The words that start a program on the other host.
    pub fn words(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace]
            .map(str::to_owned)
            .to_vec()
    }

    /// Cuts the line, at the far end: here it still leads there, so that no other way is taken. Nothing arrives any more, and nobody is
    /// told.
    pub fn cut(&self) {
        self.inside(&["link", "set", &format!("{}p", self.line), "down"]);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.inside(&["link", "set", &format!("{}p", self.line), "up"]);
    }

    fn inside(&self, words: &[&str]) {
        let inside = ["-n", &self.namespace];
        ip(&[&inside[..], words].concat());
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let gone = Command::new("ip")
            .args(["netns", "del", &self.namespace])
            .status();
        drop(gone); // a test that failed tells that, and nothing about its namespace
        let gone = Command::new("ip")
            .args(["link", "del", &self.line])
            .output();
        drop(gone);
    }
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).output();
    let done = done.expect("`ip` of iproute2; tests/run installs it");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {said}", words.join(" "));
}
