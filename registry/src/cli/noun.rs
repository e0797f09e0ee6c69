//! What a server is asked about: a noun for each resource of REST.

use std::process::ExitCode;

use clap::Subcommand;

use super::{
    audit, drill, environment, gate, grant, node, organization, product, repository, robot, role,
    schedule, setting, smart_proxy, task, token, user, webhook, workflow,
};
use crate::config::Environment;

/// A resource, and what is to be done with it.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// See tasks and act on them
    Task(task::Command),
    /// See what tasks are made of; hold and release it
    Workflow(workflow::Command),
    /// See, close and open what stands before each backend
    Gate(gate::Command),
    /// See the processes that drive tasks; hold and release them
    Node(node::Command),
    /// See and make repositories; see their versions and tags
    Repository(repository::Command),
    /// See, make, change and delete organizations
    Organization(organization::Command),
    /// See, make, change and delete products
    Product(product::Command),
    /// See, make, change and delete lifecycle environments
    Environment(environment::Command),
    /// See, make and change users
    User(user::Command),
    /// See which permissions a role gives, and make roles of your own
    Role(role::Command),
    /// See, give and take roles
    Grant(grant::Command),
    /// See, make and delete logins of programs
    Robot(robot::Command),
    /// See, make and revoke your personal tokens
    Token(token::Command),
    /// See, make and change what runs again and again
    Schedule(schedule::Command),
    /// See, add, change and sync servers that hold what is published, too
    SmartProxy(smart_proxy::Command),
    /// See, make and change who is told of what happens
    Webhook(webhook::Command),
    /// See and change settings
    Setting(setting::Command),
    /// See who changed what, and who was refused
    Audit(audit::Command),
    /// Make trouble on purpose, to practise recovery
    Drill(drill::Command),
}

impl Noun {
    /// Asks the server, and ends as it answers.
    pub(crate) async fn command(self, environment: &Environment) -> ExitCode {
        match self {
            Self::Task(command) => task::command(command, environment).await,
            Self::Workflow(command) => workflow::command(command, environment).await,
            Self::Gate(command) => gate::command(command, environment).await,
            Self::Node(command) => node::command(command, environment).await,
            Self::Repository(command) => repository::command(command, environment).await,
            Self::Organization(command) => organization::command(command, environment).await,
            Self::Product(command) => product::command(command, environment).await,
            Self::Environment(command) => environment::command(command, environment).await,
            Self::User(command) => user::command(command, environment).await,
            Self::Role(command) => role::command(command, environment).await,
            Self::Grant(command) => grant::command(command, environment).await,
            Self::Robot(command) => robot::command(command, environment).await,
            Self::Token(command) => token::command(command, environment).await,
            Self::Schedule(command) => schedule::command(command, environment).await,
            Self::SmartProxy(command) => smart_proxy::command(command, environment).await,
            Self::Webhook(command) => webhook::command(command, environment).await,
            Self::Setting(command) => setting::command(command, environment).await,
            Self::Audit(command) => audit::command(command, environment).await,
            Self::Drill(command) => drill::command(command, environment).await,
        }
    }
}
