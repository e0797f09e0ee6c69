//! The picture of a task or a workflow, in the language that was asked for.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::client::{Client, ClientError};
use super::terminal;

/// How a picture is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Lines for this terminal
    Text,
    /// For a browser
    Svg,
    /// For Graphviz
    Dot,
    /// For Mermaid, as many wikis draw it
    Mermaid,
}

/// How a picture is written, as a flag.
#[derive(Args, Debug)]
pub(super) struct Drawn {
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Drawn {
    /// Prints the picture of the thing at that path.
    pub(super) async fn print(self, client: &Client, of: &str) -> Result<ExitCode, ClientError> {
        let ending = match self.format {
            Format::Text => "txt",
            Format::Svg => "svg",
            Format::Dot => "dot",
            Format::Mermaid => "mmd",
        };
        let drawn = client.text(&format!("{of}/graph.{ending}")).await?;
        terminal::print(drawn.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}
