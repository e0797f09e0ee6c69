//! The system's limit of open files, which bounds how many connections there can be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Raises this process's limit of open files to what the system lets it have, and returns it.
///
/// The usual 1024 is for programs that still use `select`; the limit above it is meant for servers.
pub(crate) fn allow_as_many_open_files_as_possible() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of open files could not be raised");
    }
    // None is no limit at all.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_the_system_allows() {
        let limit = allow_as_many_open_files_as_possible();

        let allowed = getrlimit(Resource::Nofile);
        assert_eq!(allowed.current, allowed.maximum);
        assert_eq!(limit, allowed.maximum.unwrap_or(u64::MAX));
    }
}
