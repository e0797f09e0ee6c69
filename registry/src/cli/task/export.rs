//! `wharfinger task export`: tasks with their whole histories, a line of JSON each.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{Client, ClientError};

/// `task export`.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// Only tasks that this search finds, for example: result = error and organization = acme
    #[arg(long, value_name = "QUERY")]
    search: Option<String>,
}

impl Export {
    /// Writes to standard output as it comes. JSON escapes what a terminal would act on, but for marks of direction.
    pub(super) async fn run(&self, client: &Client) -> Result<ExitCode, ClientError> {
        let query: Vec<_> = self
            .search
            .iter()
            .map(|text| ("search", text.as_str()))
            .collect();
        let mut out = std::io::stdout();
        // Whoever closed the pipe has read all that was wanted.
        let write = |bytes: &[u8]| out.write_all(bytes).and_then(|()| out.flush()).is_ok();
        client.stream("/tasks/export", &query, write).await?;
        Ok(ExitCode::SUCCESS)
    }
}
