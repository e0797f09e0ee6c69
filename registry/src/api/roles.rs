//! `GET /roles`.

use axum::Json;
use serde::Serialize;
use storage::catalog::roles::{Permission, Role};
use strum::IntoEnumIterator;

use super::caller::Caller;
use super::page::Page;

/// A role as REST shows it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    name: Role,
    permissions: Vec<Permission>,
    built_in: bool,
}

/// Every role, with what it gives.
pub(super) async fn list(_: Caller) -> Json<Page<Shown>> {
    let roles: Vec<Shown> = Role::iter()
        .map(|role| Shown {
            name: role,
            permissions: role.permissions().iter().collect(),
            built_in: true,
        })
        .collect();
    let total = roles.len() as u64;
    Json(Page::new(roles, total, None::<()>))
}
