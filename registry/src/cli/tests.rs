//! What all commands have in common.

use clap::{Command, CommandFactory as _, Parser as _};
use serde_json::{Value, json};

use super::view::{Column, listed};
use super::*;

#[test]
fn the_command_line_is_declared_without_contradictions() {
    Cli::command().debug_assert();
}

#[test]
fn the_connection_may_stand_before_or_after_the_verb() {
    for line in [
        "wharfinger task --user a list",
        "wharfinger task list --user a",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
}

#[test]
fn a_usage_error_ends_with_2() {
    for line in [
        "wharfinger task sing",
        "wharfinger task show",
        "wharfinger task show 7",
        "wharfinger workflow graph push --format png",
        "wharfinger product list",
        "wharfinger product update tools --organization acme",
        "wharfinger product update tools --organization acme --retention {",
        "wharfinger product retention tools",
        "wharfinger product retention tools --organization acme --retention {}",
        "wharfinger product retention tools --organization acme --dry-run --wait",
        "wharfinger environment create qa --organization acme --name Quality",
        "wharfinger environment update qa --organization acme",
        "wharfinger role create own --permissions fly",
        "wharfinger grant create ana pusher --product tools",
        "wharfinger grant create ana pusher --organization acme --repository 7",
        "wharfinger drill create copy explode",
        "wharfinger drill rehearse --fail finish=often",
        "wharfinger drill marks 7",
        "wharfinger task resume 00000000-0000-0000-0000-000000000007 --override",
        "wharfinger task release 00000000-0000-0000-0000-000000000007 --override",
        "wharfinger task revert 00000000-0000-0000-0000-000000000007 --dry-run --wait",
        "wharfinger task resolve 00000000-0000-0000-0000-000000000007 send",
        "wharfinger task resolve 00000000-0000-0000-0000-000000000007 send --happened --did-not-happen",
        "wharfinger task resolve 00000000-0000-0000-0000-000000000007 send --did-not-happen --step-output 1",
        "wharfinger task skip 00000000-0000-0000-0000-000000000007 send --step-output {",
        "wharfinger task bulk-resume",
        "wharfinger user list --token t --user ana",
        "wharfinger completions tcsh",
        "wharfinger robot update 7",
        "wharfinger schedule update 7",
        "wharfinger smart-proxy update 7",
        "wharfinger smart-proxy create berlin --kind oci",
        "wharfinger smart-proxy create berlin --kind ftp --url http://a",
        "wharfinger smart-proxy create berlin --kind oci --url http://a --username ana",
        "wharfinger smart-proxy create berlin --kind oci --url http://a --environment acme",
        "wharfinger schedule create nightly --workflow push",
        "wharfinger schedule create nightly --workflow push --cron @daily --missed never",
        "wharfinger schedule create nightly --workflow push --cron @daily --input nonsense",
        "wharfinger webhook create deploy",
        "wharfinger webhook create deploy --url http://ci.example --events pull",
        "wharfinger webhook update 7",
    ] {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();

        assert_eq!(error.exit_code(), i32::from(exit::USAGE), "{line}");
    }
}

/// Verbs that read and verbs that change, of each resource as far as it has them.
#[test]
fn nouns_have_the_verbs_of_their_resource() {
    let cli = Cli::command();
    for (noun, verbs) in [
        (
            "task",
            "list summary show watch explain history graph resume cancel abort revert hold release retry-now skip resolve \
             send-event groups resume-group bulk-resume bulk-cancel export cleanup",
        ),
        ("workflow", "list show graph hold release"),
        ("gate", "list show close open"),
        ("node", "list show hold release"),
        ("organization", "list show create update delete"),
        ("product", "list show create update delete retention"),
        ("environment", "list show create update delete"),
        (
            "repository",
            "list show create delete tags tag delete-tag delete-manifest versions version rollback promote",
        ),
        ("user", "list show create update delete"),
        ("role", "list show create update delete"),
        ("grant", "list create delete"),
        ("robot", "list show create update delete"),
        ("token", "list show create delete"),
        (
            "schedule",
            "list show create update delete run-now next-runs",
        ),
        ("smart-proxy", "list show create update delete sync status"),
        ("webhook", "list show create update delete test deliveries"),
        ("setting", "list show update"),
        ("audit", "list"),
        ("drill", "list create delete rehearse marks"),
    ] {
        let noun = cli.find_subcommand(noun).expect(noun);
        let found: Vec<&str> = noun.get_subcommands().map(Command::get_name).collect();

        assert_eq!(found.join(" "), verbs, "{}", noun.get_name());
    }
}

#[test]
fn every_table_fits_eighty_columns_and_breaks_nothing_that_is_copied() {
    const WIDTH: u16 = 80;
    for (noun, columns, object, copied) in images().into_iter().chain(access()).chain(others()) {
        let shown = listed(std::slice::from_ref(&object), columns, Some(WIDTH));

        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert!(
            widest <= Some(WIDTH.into()),
            "{noun} is {widest:?} wide:\n{shown}"
        );
        assert!(
            shown.contains(copied),
            "{copied} is broken in {noun}:\n{shown}"
        );
    }
}

/// A terminal that is too narrow for all columns is shown fewer of them, or a line for each field: never letters below letters.
#[test]
fn no_table_falls_apart_on_a_narrow_terminal() {
    for (noun, columns, object, _) in images().into_iter().chain(access()).chain(others()) {
        for width in 20..=140 {
            let objects = [object.clone(), object.clone()];
            let shown = listed(&objects, columns, Some(width));

            for whole in columns
                .iter()
                .filter_map(|column| column.kept_whole(&object))
            {
                assert!(
                    shown.contains(&whole),
                    "{whole} is broken or missing in {noun} at {width}:\n{shown}"
                );
            }
            let is_table = shown
                .lines()
                .next()
                .is_some_and(|line| line.contains(columns[0].title()));
            let widest = shown.lines().map(|line| line.chars().count()).max();
            assert!(
                !is_table || widest <= Some(width.into()),
                "{noun} is {widest:?} wide at {width}:\n{shown}"
            );
            let lines = shown.lines().count();
            assert!(lines <= 40, "{noun} has {lines} lines at {width}:\n{shown}");
        }
    }
}

#[test]
fn a_list_of_tasks_sheds_what_matters_least_first() {
    let task = images().remove(0).2;
    let tasks = std::slice::from_ref(&task);
    let titles = |width| {
        let shown = listed(tasks, task::list::COLUMNS, Some(width));
        let titles = shown.lines().next().unwrap_or_default();
        titles
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };

    assert_eq!(titles(100), "ID STATE WHAT AGE TOOK");
    assert_eq!(titles(70), "ID STATE WHAT AGE");
    assert_eq!(titles(62), "ID STATE WHAT");
    assert_eq!(titles(40), format!("id {TASK}"));
}

const AT: &str = "2026-11-24T20:25:54.123Z";
const TASK: &str = "019a7d20-5f8e-7d31-9c7e-0d7c3f1b2a11";
const KEY: &str = "0123456789abcdef";
const NODE: &str = "01993a5e-7c1d-7b0a-9a55-0123456789ab";
const NAME: &str = "default_organization/a-product-of-some-length/deep/down/application";

/// A table that lists something, an object whose fields are as long as they come, and what of it is copied.
type Listed = (&'static str, &'static [Column], Value, &'static str);

/// The tables about images and what is done with them.
fn images() -> Vec<Listed> {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    vec![
        (
            "task",
            task::list::COLUMNS,
            json!({"id": TASK, "state": "stopped", "result": "cancelled", "created_at": AT, "started_at": AT,
                "action": format!("push of {NAME}:latest"), "ended_at": "2026-11-24T23:59:54.123Z"}),
            TASK,
        ),
        (
            "workflow",
            workflow::COLUMNS,
            json!({"name": "garbage_collection", "version": 12, "steps": [{"name": "mark"}, {"name": "sweep"}]}),
            "garbage_collection",
        ),
        (
            "history",
            task::history::COLUMNS,
            json!({"n": 1234, "at": AT, "event": "step_attempt_failed", "step": "locate_push_repository", "actor": "administrator",
                "detail": {"error": {"message": "the disk is full; free some space, then resume the task"}}}),
            "1234",
        ),
        (
            "group",
            task::groups::COLUMNS,
            json!({"key": KEY, "count": 12_345, "step": "locate_push_repository", "class": "content", "since": AT,
                "message": "the disk is full; free some space, then resume the task"}),
            KEY,
        ),
        (
            "repository",
            repository::COLUMNS,
            json!({"id": 123_456, "pushed_names": [NAME], "latest_version": 1234, "tags_count": 1234,
                "size_bytes": 1_288_490_188_u64, "last_push": {"at": AT, "user": "administrator"}}),
            "123456",
        ),
        (
            "tag",
            repository::TAGS,
            json!({"name": "release-2026-11-24-candidate-17", "digest": digest, "size_bytes": 1_288_490_188_u64,
                "platforms": ["linux/amd64", "linux/arm64", "linux/s390x"], "last_pulled_at": AT}),
            "1.1 GiB",
        ),
        (
            "version",
            repository::VERSIONS,
            json!({"number": 1234, "created_at": AT, "cause": "rollback", "added": {"tags": ["latest", "1.0", "1.0.17"]},
                "removed": {"tags": ["0.9"]}, "published_in": ["Library"]}),
            "rollback",
        ),
        (
            "environment",
            environment::COLUMNS,
            json!({"id": 1234, "label": "quality_assurance", "name": "Quality assurance of the whole company",
                "organization": "Default_Organization", "prior": "development", "anonymous_pull": false,
                "registry_name_pattern": "<%= lifecycle_environment.label %>/<%= repository.label %>", "created_at": AT}),
            "1234",
        ),
    ]
}

/// The tables about who may do what.
fn access() -> Vec<Listed> {
    let permissions = json!([
        "pull",
        "push",
        "create_repositories",
        "create_products",
        "view_tasks"
    ]);
    vec![
        (
            "organization",
            organization::COLUMNS,
            json!({"id": 1234, "label": "Default_Organization", "name": "The whole of the company and its daughters", "created_at": AT}),
            "1234",
        ),
        (
            "product",
            product::COLUMNS,
            json!({"id": 1234, "label": "container_push", "name": "Pushed containers", "organization": "Default_Organization",
                "anonymous_pull": false, "immutable_tags": ["v*", "release-*"], "created_at": AT}),
            "1234",
        ),
        (
            "user",
            user::COLUMNS,
            json!({"id": 1234, "login": "ana.maria@example.org", "name": "Ana Maria of the Harbour", "enabled": true,
                "email": "ana.maria@example.org", "created_at": AT}),
            "1234",
        ),
        (
            "role",
            role::COLUMNS,
            json!({"name": "own_publisher", "permissions": permissions, "built_in": false}),
            "own_publisher",
        ),
        (
            "grant",
            grant::COLUMNS,
            json!({"id": 1234, "user": "ana.maria@example.org", "robot": null, "role": "own_publisher",
                "organization": "Default_Organization", "product": "container_push", "repository": 1234, "created_at": AT}),
            "1234",
        ),
        (
            "robot",
            robot::COLUMNS,
            json!({"id": 1234, "login": "Default_Organization+continuous-integration", "organization": "Default_Organization",
                "enabled": true, "last_used_at": AT, "created_at": AT}),
            "1234",
        ),
        (
            "token",
            token::COLUMNS,
            json!({"id": 1234, "name": "login on harbour.example at 2026-11-24T20:25:54.123Z", "scope": permissions,
                "last_used_at": AT, "expires_at": AT}),
            "1234",
        ),
        (
            "schedule",
            schedule::COLUMNS,
            json!({"id": 1234, "name": "every night", "workflow": "garbage_collection", "cron": "*/15 2-4 * * mon-fri",
                "time_zone": "America/Argentina/Buenos_Aires", "next_run_at": "2026-11-24T23:59:54.123Z",
                "last_run_at": null, "runs": 17, "enabled": true}),
            "*/15 2-4 * * mon-fri",
        ),
        (
            "gate",
            gate::COLUMNS,
            json!({"name": "content", "state": "opening", "by": "ana.maria@example.org", "since": AT, "at_once": 16,
                "reason": "too many attempts failed, the last: the database refused: disk I/O error", "waiting": 1234,
                "next_probe_at": "2026-11-24T23:59:54.123Z", "budget_used": 0.875}),
            "opening",
        ),
        (
            "node",
            node::COLUMNS,
            json!({"id": NODE, "name": "registry.harbour.example:5000", "version": "0.1.0", "started_at": AT, "beat_at": AT,
                "state": "running", "plans": 1234, "held": {"by": "serve --hold", "reason": "it was started so", "since": AT}}),
            NODE,
        ),
        (
            "setting",
            setting::COLUMNS,
            json!({"name": "personal_token_max_days", "value": 30, "default": 0,
                "description": "A new personal token counts at most so many days, and must say until when"}),
            "30",
        ),
        (
            "audit",
            audit::COLUMNS,
            json!({"at": AT, "actor": "ana.maria@example.org", "action": "repository.create", "subject": NAME,
                "from": "2001:db8::1:2:3", "result": "refused", "reason": "you lack the permission `create_repositories`"}),
            "refused",
        ),
        (
            "drill",
            drill::COLUMNS,
            json!({"id": 1234, "workflow": "push", "step": "locate_push_repository", "effect": "fail_transient",
                "repository": NAME, "tag": "latest", "times_left": null}),
            "1234",
        ),
    ]
}

/// The tables about other servers.
fn others() -> Vec<Listed> {
    vec![
        (
            "smart-proxy",
            smart_proxy::COLUMNS,
            json!({"id": 1234, "name": "berlin-in-the-north", "kind": "wharfinger",
                "url": "https://berlin.harbour.example.org:5001", "enabled": true, "synced_at": AT,
                "environments": [{"organization": "acme", "environment": "Library"},
                    {"organization": "acme", "environment": "production"}],
                "error": "acme/tools/app: its disk is full"}),
            "1234",
        ),
        (
            "webhook",
            webhook::COLUMNS,
            json!({"id": 1234, "name": "deploy", "url": "https://ci.example.org/hooks/images", "enabled": true,
                "organization": "Default_Organization", "events": ["push", "delete", "promote"], "created_at": AT}),
            "1234",
        ),
        (
            "webhook deliveries",
            webhook::DELIVERIES,
            json!({"task_id": "01a20f9e-64a4-7008-a93e-7d0da280e44f", "event": "wharfinger.task_paused", "at": AT,
                "state": "running", "result": "pending", "answer": "503 Service Unavailable: the disk is full"}),
            "01a20f9e-64a4-7008-a93e-7d0da280e44f",
        ),
    ]
}
