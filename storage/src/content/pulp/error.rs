//! What can go wrong with Pulp, told apart by what the caller may do about it.

use reqwest::StatusCode;

use crate::Digest;

/// So much of what Pulp says is passed on.
const SAID_CHARS: usize = 300;

/// Why Pulp did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PulpError {
    /// There is no answer.
    #[error("Pulp at {origin} cannot be reached to {doing}: {why}")]
    Unreachable {
        /// Where it should be.
        origin: String,
        /// What was wanted.
        doing: String,
        /// What the connection says.
        why: String,
    },
    /// It does not let us in.
    #[error(
        "Pulp at {origin} refuses the login of its service account ({status}); check `content.username` and its password"
    )]
    Login {
        /// Where it is.
        origin: String,
        /// Its answer.
        status: StatusCode,
    },
    /// It failed itself.
    #[error("Pulp failed to {doing}: {status} {said}")]
    Failed {
        /// What was wanted.
        doing: String,
        /// Its answer.
        status: StatusCode,
        /// What it says.
        said: String,
    },
    /// It does not want to.
    #[error("Pulp refused to {doing}: {status} {said}")]
    Refused {
        /// What was wanted.
        doing: String,
        /// Its answer.
        status: StatusCode,
        /// What it says.
        said: String,
    },
    /// It answered something that no known version of it does.
    #[error("Pulp's answer to \"{doing}\" cannot be read: {why}")]
    Unreadable {
        /// What was wanted.
        doing: String,
        /// What is wrong with it.
        why: String,
    },
    /// A name that should be ours is somebody else's.
    #[error(
        "{kind} `{name}` in Pulp is not of this registry: it was there before, or has other labels than this registry gives; rename it there or set another `content.prefix`; nothing of it was touched"
    )]
    Foreign {
        /// "repository", "distribution".
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing there has our names.
    #[error(
        "Pulp has no repository `{name}`, where content of this registry should be; check `content.url`, `content.domain` and `content.prefix`"
    )]
    NotThere {
        /// The name.
        name: String,
    },
    /// A repository of ours has gone since something was brought into it.
    #[error(
        "Pulp's repository `{name}` was deleted while this push was on its way; cancel this task and push again"
    )]
    Replaced {
        /// The name.
        name: String,
    },
    /// What is there is not given out.
    #[error(
        "Pulp's distribution `{name}` does not give what the newest version of its repository has; the next push sets it right"
    )]
    NotServed {
        /// The name.
        name: String,
    },
    /// A task of Pulp has ended without success.
    #[error("Pulp's task to {doing} ended {state}: {why}")]
    Task {
        /// What was wanted.
        doing: String,
        /// "failed", "canceled".
        state: String,
        /// Its description, or its reason.
        why: String,
    },
    /// So has each that was begun in its place.
    #[error("Pulp's tasks to {doing} end {state} again and again, the last: {why}")]
    Tasks {
        /// What was wanted.
        doing: String,
        /// "failed", "canceled".
        state: String,
        /// Its description, or its reason.
        why: String,
    },
    /// A task of Pulp goes on and on.
    #[error("Pulp's task to {doing} has not ended yet; look whether its workers run")]
    NotDone {
        /// What was wanted.
        doing: String,
    },
    /// Something was made there while it was deleted.
    #[error("Pulp has something under the name `{name}` again, although it was just deleted")]
    StillThere {
        /// The name.
        name: String,
    },
    /// It has other bytes than those that were sent.
    #[error(
        "Pulp keeps other bytes than those of blob {digest} under its digest: somebody else has put them there first; remove that blob from all repositories there and run its orphan cleanup, then cancel this task and push again"
    )]
    OtherBytes {
        /// The blob.
        digest: Digest,
    },
    /// A blob that Pulp had is there no more.
    #[error("Pulp does not have blob {digest} any more; push it again")]
    LostBlob {
        /// The blob.
        digest: Digest,
    },
}

impl PulpError {
    pub(super) fn of_answer(doing: &str, status: StatusCode, body: &[u8]) -> Self {
        let (doing, said) = (doing.to_owned(), said(body));
        // A right that is missing is given there, by nobody here.
        let passes = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
        ];
        if status.is_server_error() || passes.contains(&status) {
            Self::Failed {
                doing,
                status,
                said,
            }
        } else {
            Self::Refused {
                doing,
                status,
                said,
            }
        }
    }

    /// The same of a task that is not begun once more.
    pub(super) fn for_good(self) -> Self {
        if let Self::Task { doing, state, why } = self {
            return Self::Tasks { doing, state, why };
        }
        self
    }

    /// Pulp's registry itself says that it does not have it. What stands before it may answer 404, too.
    pub(super) fn is_unknown_to_registry(&self) -> bool {
        let says = |said: &str| said.contains("BLOB_UNKNOWN") || said.contains("NAME_UNKNOWN");
        matches!(self, Self::Refused { status, said, .. } if *status == StatusCode::NOT_FOUND && says(said))
    }

    /// The thing that it names is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Something of it is taken, or not as it must be.
    pub(super) fn is_bad_request(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::BAD_REQUEST)
    }

    /// True if Pulp may have failed over what it was sent, and not by itself. It answers 500, too, to what it cannot read.
    pub(super) fn is_about_what_was_sent(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                *status == StatusCode::BAD_REQUEST || self.is_unknown_to_registry()
            }
            Self::Failed { status, .. } => *status == StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unreachable { .. }
            | Self::Login { .. }
            | Self::Unreadable { .. }
            | Self::Foreign { .. }
            | Self::NotThere { .. }
            | Self::Replaced { .. }
            | Self::NotServed { .. }
            | Self::Task { .. }
            | Self::Tasks { .. }
            | Self::NotDone { .. }
            | Self::StillThere { .. }
            | Self::OtherBytes { .. }
            | Self::LostBlob { .. } => false,
        }
    }

    /// True if nothing else that is asked now will be answered.
    #[must_use]
    pub fn is_about_pulp_itself(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Login { .. } | Self::NotDone { .. } => true,
            Self::Failed { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Foreign { .. }
            | Self::NotThere { .. }
            | Self::Replaced { .. }
            | Self::NotServed { .. }
            | Self::Task { .. }
            | Self::Tasks { .. }
            | Self::StillThere { .. }
            | Self::OtherBytes { .. }
            | Self::LostBlob { .. } => false,
        }
    }

    /// True if the same call may well succeed later. A login that is refused can be mended on the other side, by nobody here.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Login { .. }
            | Self::Failed { .. }
            | Self::NotThere { .. }
            | Self::NotServed { .. }
            | Self::NotDone { .. }
            | Self::StillThere { .. }
            | Self::Task { .. } => true,
            Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Foreign { .. }
            | Self::Replaced { .. }
            | Self::Tasks { .. }
            | Self::OtherBytes { .. }
            | Self::LostBlob { .. } => false,
        }
    }
}

/// The beginning of a body, on one line.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(SAID_CHARS).collect();
    if line.starts_with('<') {
        // A page for a browser tells nobody anything here.
        return "(a page of HTML)".to_owned();
    }
    line
}
