//! What clients may ask of a listener at once, and how long they may take.

use std::time::Duration;

/// The limits on connections and requests, each a setting of its own with its reason in the table of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many connections are open at once; further ones wait in the kernel's queue.
    pub(crate) connections: usize,
    /// How many of them one address may have; further ones are closed at once.
    pub(crate) connections_per_address: usize,
    /// How many requests are answered at once.
    pub(crate) requests: usize,
    /// How many of them may be one address's.
    pub(crate) requests_per_address: usize,
    /// How large the head of a request may be.
    pub(crate) header_bytes: usize,
    /// How long the head of a request may take; also how long a connection may idle between two.
    pub(crate) header_time: Duration,
    /// How long a request without a body may take until its answer begins.
    pub(crate) request_time: Duration,
    /// How long a client may stop reading an answer.
    pub(crate) answer_idle: Duration,
}

/// Files that are open whatever clients do: database, log, listeners, what runs in the background.
const FILES_OF_OUR_OWN: u64 = 128;
/// A download holds its socket and its blob.
const FILES_PER_CONNECTION: u64 = 2;

impl Limits {
    /// The same limits with no more connections than a process that may open so many files can bear.
    pub(crate) fn within_open_files(self, files: u64) -> Self {
        let bearable = files.saturating_sub(FILES_OF_OUR_OWN) / FILES_PER_CONNECTION;
        let bearable = usize::try_from(bearable).unwrap_or(usize::MAX).max(1);
        Self {
            connections: self.connections.min(bearable),
            ..self
        }
    }
}

#[cfg(test)]
impl Default for Limits {
    /// Those of the defaults, for tests of a listener.
    fn default() -> Self {
        let settings = super::Settings::from_flags(&[]);
        let config = super::Config::read(&settings, &super::Environment::of(&[]));
        config.unwrap().limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_lowered_to_what_the_limit_of_open_files_allows() {
        let limits = Limits::default();

        assert_eq!(limits.within_open_files(1024).connections, 448);
        assert_eq!(limits.within_open_files(1 << 20).connections, 4000);
        assert_eq!(limits.within_open_files(10).connections, 1);
    }
}
