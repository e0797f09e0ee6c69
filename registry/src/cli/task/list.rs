//! `wharfinger task list`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::client::{Client, ClientError, Output};
use crate::cli::{show, terminal};

/// Which tasks.
#[derive(Args, Debug)]
pub(super) struct List {
    /// For example: state = paused and label = push
    #[arg(long)]
    search: Option<String>,
    /// For example: started_at desc
    #[arg(long)]
    sort: Option<String>,
    /// How many at once, at most 500
    #[arg(long, default_value_t = 50)]
    per_page: u32,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl List {
    pub(super) async fn run(
        &self,
        client: &Client,
        output: Output,
    ) -> Result<ExitCode, ClientError> {
        let per_page = self.per_page.to_string();
        let mut query = vec![("per_page", per_page.as_str())];
        query.extend(self.search.as_deref().map(|search| ("search", search)));
        query.extend(self.sort.as_deref().map(|sort| ("sort", sort)));
        query.extend(self.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let body = client.get("/tasks", &query).await?;
        if output == Output::Json {
            show::json(&body);
            return Ok(ExitCode::SUCCESS);
        }
        let mut table =
            terminal::table(&["ID", "TASK", "STATE", "RESULT", "WHAT", "CREATED", "TOOK"]);
        for task in show::list(&body, "results") {
            table.add_row([
                show::field(task, "id"),
                show::field(task, "label"),
                show::field(task, "state"),
                show::field(task, "result"),
                show::field(task, "action"),
                show::time(&task["created_at"]),
                show::between(&task["started_at"], &task["ended_at"]),
            ]);
        }
        terminal::print_table(table, "no task matches");
        show::more(&body);
        Ok(ExitCode::SUCCESS)
    }
}
