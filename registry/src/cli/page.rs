//! The page of a list that is asked for.

use super::answer::Answer;
use super::client::{Client, ClientError};
use clap::Args;

/// Which page, and how much of it.
#[derive(Args, Debug)]
pub(crate) struct Page {
    /// How many at once, at most 500
    #[arg(long, default_value_t = 50, value_name = "NUMBER")]
    per_page: u32,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

/// What a list is searched for.
#[derive(Args, Debug)]
pub(crate) struct Search {
    /// Only those that this search finds, for example: organization = acme and tag = latest
    #[arg(long, value_name = "QUERY")]
    search: Option<String>,
    /// The field to sort by, and `desc` to begin with the last
    #[arg(long, value_name = "FIELD")]
    sort: Option<String>,
}

impl Page {
    /// This page of all there is.
    pub(crate) async fn get(&self, client: &Client, path: &str) -> Result<Answer, ClientError> {
        self.narrowed(client, path, &[]).await
    }

    /// This page of what the search finds.
    pub(crate) async fn find(
        &self,
        client: &Client,
        path: &str,
        search: &Search,
    ) -> Result<Answer, ClientError> {
        let narrowed = [("search", &search.search), ("sort", &search.sort)];
        self.narrowed(client, path, &narrowed).await
    }

    /// This page of what fits all that is given.
    pub(crate) async fn narrowed(
        &self,
        client: &Client,
        path: &str,
        to: &[(&str, &Option<String>)],
    ) -> Result<Answer, ClientError> {
        let given = to
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let mut query: Vec<(&str, &str)> = given.collect();
        let per_page = self.per_page.to_string();
        query.push(("per_page", &per_page));
        query.extend(self.cursor.as_deref().map(|cursor| ("cursor", cursor)));
        client.get(path, &query).await
    }
}
