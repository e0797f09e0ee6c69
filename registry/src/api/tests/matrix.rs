//! Each role at each route, in the caller's own organization and in a foreign one: what is answered is what the table of
//! routes says.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use storage::catalog::roles::{Permission, PermissionSet, Role};
use strum::IntoEnumIterator;

use super::house::{ADMIN, Api, Who};
use crate::api::openapi::tests::Document;
use crate::api::rights::Right;
use crate::api::{V1, routes};

const PASSWORD: &str = "a password";
/// Where the callers have their role; they have none in the other.
const OWN: &str = "acme";
const FOREIGN: &str = "globex";

/// Who calls: nobody, somebody without a role, somebody with a role in [`OWN`], or the administrator of everything.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Caller {
    Nobody,
    Guest,
    With(Role),
    Administrator,
}

impl Caller {
    fn all() -> Vec<Self> {
        let with = Role::iter().map(Self::With);
        let others = [Self::Nobody, Self::Guest, Self::Administrator];
        others.into_iter().chain(with).collect()
    }

    fn login(self) -> String {
        match self {
            Self::Nobody => String::new(),
            Self::Guest => "guest".to_owned(),
            Self::With(role) => format!("{role}-of-{OWN}"),
            Self::Administrator => "admin".to_owned(),
        }
    }

    fn permissions_in(self, organization: &str) -> PermissionSet {
        match self {
            Self::With(role) if organization == OWN => role.permissions(),
            Self::Nobody | Self::Guest | Self::With(_) => PermissionSet::default(),
            Self::Administrator => Role::Admin.permissions(),
        }
    }

    fn permissions_everywhere(self) -> PermissionSet {
        self.permissions_in(FOREIGN)
    }
}

/// What a caller meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Met {
    /// They are told to log in.
    LogIn,
    /// They are told that they may not.
    Forbidden,
    /// They are told that there is no such thing, in the path or in the body.
    Hidden,
    /// They are let in: whatever is answered, it is about what they asked.
    LetIn,
}

impl Met {
    fn expected(right: Right, caller: Caller, organization: &str) -> Self {
        let (here, everywhere) = (
            caller.permissions_in(organization),
            caller.permissions_everywhere(),
        );
        let or = |allowed: bool, otherwise: Self| if allowed { Self::LetIn } else { otherwise };
        let unseen = if here.is_empty() {
            Self::Hidden
        } else {
            Self::Forbidden
        };
        match right {
            Right::Anybody => Self::LetIn,
            _ if caller == Caller::Nobody => Self::LogIn,
            Right::Known | Right::Cut(_) => Self::LetIn,
            Right::Seen => or(!here.is_empty(), Self::Hidden),
            Right::Somewhere(needed) => {
                or(caller.permissions_in(OWN).contains(needed), Self::Forbidden)
            }
            Right::Everywhere(needed) => or(everywhere.contains(needed), Self::Forbidden),
            Right::There(needed) => or(here.contains(needed), unseen),
            Right::Sight(needed) | Right::OwnTask(needed) => {
                or(here.contains(needed), Self::Hidden)
            }
            Right::Oneself(needed) => or(everywhere.contains(needed), Self::Hidden),
            Right::Task(needed) if here.contains(Permission::ViewTasks) => {
                or(here.contains(needed), Self::Forbidden)
            }
            Right::Task(_) => Self::Hidden,
        }
    }

    fn seen(status: StatusCode, body: &Value) -> Self {
        let hides = |error: &Value| {
            let message = error["message"].as_str().unwrap_or_default();
            message.ends_with("or none that you may see")
        };
        let hidden_in_body = body["errors"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(hides));
        match status {
            StatusCode::UNAUTHORIZED => Self::LogIn,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::Hidden,
            _ if hidden_in_body => Self::Hidden,
            _ => Self::LetIn,
        }
    }
}

/// What lies in an organization for the routes to name.
struct Things {
    organization: &'static str,
    repository: String,
    task: String,
    digest: String,
}

struct World {
    api: Api,
    made: u32,
}

impl World {
    async fn new() -> Self {
        let api = Api::start(&["--allow-drills"]).await;
        let mut world = Self { api, made: 0 };
        for organization in [OWN, FOREIGN] {
            world
                .make(
                    "/organizations",
                    json!({"label": organization, "name": "O"}),
                )
                .await;
        }
        for caller in Caller::all() {
            let login = caller.login();
            if !matches!(caller, Caller::Nobody | Caller::Administrator) {
                let user = json!({"login": login, "password": PASSWORD});
                world.make("/users", user).await;
            }
            if let Caller::With(role) = caller {
                let grant = json!({"user": login, "role": role, "organization": OWN});
                world.make("/grants", grant).await;
            }
        }
        world
    }

    /// Makes a thing as the administrator.
    async fn make(&mut self, path: &str, body: Value) -> Value {
        let answer = self.api.post(&ADMIN, &format!("/api/v1{path}"), body).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    /// A name that nothing has yet.
    fn fresh(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{}", self.made)
    }

    /// An organization with a product, and an image in it.
    async fn furnish(&mut self, organization: &'static str) -> Things {
        let products = format!("/organizations/{organization}/products");
        self.make(&products, json!({"label": "tools", "name": "Tools"}))
            .await;
        let (repository, task, digest) = self.api.push(&format!("{organization}/tools/app")).await;
        Things {
            organization,
            repository,
            task,
            digest,
        }
    }

    /// The path of the route with real things in it, and a body that fits.
    async fn request(
        &mut self,
        method: &Method,
        path: &str,
        things: &Things,
        who: &Who<'_>,
    ) -> (String, Option<Value>) {
        let organization = things.organization;
        let resource = path.split('/').nth(1).unwrap_or_default();
        let has_id = path.contains("{id}");
        let id = match resource {
            "tasks" => things.task.clone(),
            "repositories" if *method == Method::DELETE => {
                let name = self.fresh("gone");
                let name = format!("{organization}/tools/{name}");
                self.api.push(&name).await.0
            }
            "repositories" => things.repository.clone(),
            "robots" if has_id => {
                let name = self.fresh("robot");
                let robot = json!({"name": name, "organization": organization});
                self.make("/robots", robot).await["id"].to_string()
            }
            "grants" if has_id => {
                let login = self.fresh("robot");
                let robot = json!({"name": login, "organization": organization});
                let robot = self.make("/robots", robot).await["login"].clone();
                let grant = json!({"robot": robot, "role": "reader", "organization": organization});
                self.make("/grants", grant).await["id"].to_string()
            }
            "drills" if path.contains("/rehearsals/") => {
                let begun = self
                    .api
                    .post(&ADMIN, "/api/v1/drills/rehearsals", json!({}));
                begun.await.body["id"].as_str().unwrap().to_owned()
            }
            "drills" if has_id => {
                let drill =
                    json!({"workflow": "push", "step": "copy", "effect": "fail", "tag": "none"});
                self.make("/drills", drill).await["id"].to_string()
            }
            "schedules" if has_id => {
                let name = self.fresh("schedule");
                self.api.schedule(&name, &things.task, false).await
            }
            "smart_proxies" if has_id => {
                let name = self.fresh("proxy");
                let proxy = json!({"name": name, "kind": "oci", "url": "http://127.0.0.1:9"});
                self.make("/smart_proxies", proxy).await["id"].to_string()
            }
            "webhooks" if has_id => {
                let name = self.fresh("webhook");
                let webhook = json!({"name": name, "url": "http://127.0.0.1:9/", "organization": organization});
                self.make("/webhooks", webhook).await["id"].to_string()
            }
            "nodes" if has_id => {
                let nodes = self.api.get(&ADMIN, "/api/v1/nodes").await;
                nodes.body["results"][0]["id"].as_str().unwrap().to_owned()
            }
            "tokens" if has_id => {
                let token = json!({"name": self.fresh("token")});
                let made = self.api.post(who, "/api/v1/tokens", token).await;
                made.body["id"].to_string()
            }
            _ => String::new(),
        };
        let name = match resource {
            "roles" if path.contains("{name}") => {
                let name = self.fresh("role");
                let role = json!({"name": name, "permissions": ["pull"]});
                self.make("/roles", role).await;
                name
            }
            "workflows" => "push".to_owned(),
            "gates" => "content".to_owned(),
            _ => "anonymous_pull".to_owned(),
        };
        let login = self.fresh("user");
        if path.contains("{login}") {
            let user = json!({"login": login, "password": PASSWORD});
            self.make("/users", user).await;
        }
        let environment = self.fresh("environment");
        if path.contains("{environment}") {
            let environments = format!("/organizations/{organization}/environments");
            let new = json!({"label": environment, "name": "E", "prior": "Library"});
            self.make(&environments, new).await;
        }
        let path = path
            .replace("{organization}", organization)
            .replace("{environment}", &environment)
            .replace("{product}", "tools")
            .replace("{id}", &id)
            .replace("{number}", "1")
            .replace("{tag}", "latest")
            .replace("{digest}", &things.digest)
            .replace("{step}", "copy")
            .replace("{key}", "0123456789abcdef")
            .replace("{name}", &name)
            .replace("{login}", &login);
        let body = self.body(method, &path, resource, organization);
        (format!("/api/v1{path}"), body)
    }

    /// A body that is taken by whoever may send it.
    fn body(
        &mut self,
        method: &Method,
        path: &str,
        resource: &str,
        organization: &str,
    ) -> Option<Value> {
        let fresh = self.fresh("thing");
        match (method.as_str(), resource) {
            ("POST", "tasks") if path.contains("/bulk_") => {
                Some(json!({"search": "state = paused", "dry_run": true}))
            }
            ("POST", "tasks") if path.ends_with("/cleanup") => Some(json!({"dry_run": true})),
            ("POST", "tasks") if path.ends_with("/resolve") => Some(json!({"happened": false})),
            ("POST", "organizations") if path.ends_with("/repositories") => {
                Some(json!({"name": fresh}))
            }
            ("DELETE", "organizations") if !path.contains("/environments/") => {
                Some(json!({"dry_run": true}))
            }
            ("POST", "organizations") if path.ends_with("/retention") => {
                let rules = json!({"untagged_within": "7d"});
                Some(json!({"dry_run": true, "retention": rules}))
            }
            ("POST", "organizations") if path.ends_with("/preview_pattern") => {
                Some(json!({"pattern": "x/<%= repository.label %>"}))
            }
            ("POST", "organizations") if path.ends_with("/environments") => {
                Some(json!({"label": fresh, "name": "New", "prior": "Library"}))
            }
            ("POST", "repositories") if path.ends_with("/rollback") => {
                Some(json!({"environment": "Library", "version": 1}))
            }
            ("POST", "repositories") => Some(json!({"version": 1, "to_environment": "Library"})),
            ("POST", "organizations") => Some(json!({"label": fresh, "name": "New"})),
            ("PATCH", "organizations" | "users") => Some(json!({"name": "Renamed"})),
            ("POST", "users") => Some(json!({"login": fresh, "password": PASSWORD})),
            ("POST", "robots") => Some(json!({"name": fresh, "organization": organization})),
            ("PATCH", "robots") => Some(json!({"enabled": true})),
            ("POST", "tokens") => Some(json!({"name": fresh})),
            ("POST", "roles") => Some(json!({"name": fresh, "permissions": ["pull"]})),
            ("PATCH", "roles") => Some(json!({"permissions": ["pull"]})),
            ("POST", "grants") => Some(
                json!({"user": "guest-of-all", "role": "reader", "organization": organization}),
            ),
            ("PATCH", "settings") => Some(json!({"value": true})),
            ("POST", "schedules") if !path.ends_with("/run_now") => Some(
                json!({"name": fresh, "workflow": "push", "cron": "@daily", "time_zone": "UTC"}),
            ),
            ("POST", "smart_proxies") if !path.ends_with("/sync") => {
                Some(json!({"name": fresh, "kind": "oci", "url": "http://127.0.0.1:9"}))
            }
            ("PATCH", "smart_proxies") => Some(json!({"enabled": false})),
            ("POST", "webhooks") if path == "/webhooks" => Some(
                json!({"name": fresh, "url": "http://127.0.0.1:9/", "organization": organization}),
            ),
            ("PATCH", "webhooks") => Some(json!({"events": ["push"]})),
            ("PATCH", "schedules") => Some(json!({"cron": "@yearly"})),
            ("POST", "drills") if path.ends_with("/rehearsals") => Some(json!({"parts": 1})),
            ("POST", "drills") => {
                Some(json!({"workflow": "push", "step": "copy", "effect": "fail", "tag": "none"}))
            }
            _ => None,
        }
    }
}

#[tokio::test]
async fn every_role_meets_at_every_route_what_the_table_says() {
    let mut world = World::new().await;
    let all_grantable = json!({"login": "guest-of-all", "password": PASSWORD});
    world.make("/users", all_grantable).await;
    let (own, foreign) = (world.furnish(OWN).await, world.furnish(FOREIGN).await);
    let document = Document::new();
    let mut wrong = Vec::new();

    for caller in Caller::all() {
        let login = caller.login();
        let who = match caller {
            Caller::Nobody => Who::Nobody,
            Caller::Administrator => ADMIN,
            Caller::Guest | Caller::With(_) => Who::Login(&login, PASSWORD),
        };
        for things in [&own, &foreign] {
            for route in routes() {
                let (path, body) = world.request(&route.method, route.path, things, &who).await;
                let answer = world.api.ask(&who, route.method.clone(), &path, body).await;

                let met = Met::seen(answer.status(), &answer.body);
                let expected = Met::expected(route.right, caller, things.organization);
                if met != expected || answer.status().is_server_error() {
                    wrong.push(format!(
                        "{caller:?}: {} {path} ({:?}): {expected:?} expected, but {} {}",
                        route.method,
                        route.right,
                        answer.status(),
                        answer.body
                    ));
                }
                let path = format!("{V1}{}", route.path);
                if let Some(why) = document.contradicts(&route.method, &path, &answer) {
                    wrong.push(format!("{caller:?}: {} {path}: {why}", route.method));
                }
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
