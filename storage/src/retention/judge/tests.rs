use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DAY: i64 = 24 * 3_600_000;
const NOW: Timestamp = Timestamp(1_000 * DAY);

fn days_ago(days: i64) -> Timestamp {
    Timestamp(NOW.0 - days * DAY)
}

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

fn rules(value: Value) -> Retention {
    serde_json::from_value(value).unwrap()
}

/// A tag that was set so many days ago, at the manifest that is called like it.
fn tag(name: &str, days: i64) -> Tagged {
    Tagged {
        tag: name.parse().unwrap(),
        digest: digest(name),
        pushed_at: days_ago(days),
        set_at: days_ago(days),
        pulled_at: None,
        is_being_pushed: false,
    }
}

fn manifest(name: &str, days: i64) -> Manifest {
    Manifest {
        digest: digest(name),
        children: Vec::new(),
        subject: None,
        wanted_at: days_ago(days),
        is_filed: true,
        is_just_pushed: false,
    }
}

/// The tag under which tools sign the manifest that is called so, at a signature that was pushed then.
fn signature(of: &str, days: i64) -> Tagged {
    let name = digest(of).to_string().replace(':', "-");
    Tagged {
        tag: format!("{name}.sig").parse().unwrap(),
        digest: digest(&format!("signature of {of}")),
        ..tag("any", days)
    }
}

fn index(name: &str, children: &[&str]) -> Manifest {
    Manifest {
        children: children.iter().map(|child| digest(child)).collect(),
        ..manifest(name, 100)
    }
}

fn about(name: &str, subject: &str) -> Manifest {
    Manifest {
        subject: Some(digest(subject)),
        ..manifest(name, 100)
    }
}

/// The tags with a manifest each, and these besides.
fn shelf(tags: Vec<Tagged>, more: Vec<Manifest>) -> Shelf {
    let mut manifests = more;
    for tagged in &tags {
        if !manifests.iter().any(|it| it.digest == tagged.digest) {
            manifests.push(Manifest {
                digest: tagged.digest,
                ..manifest("", 100)
            });
        }
    }
    Shelf {
        tags,
        manifests,
        pulls_known_since: Timestamp(0),
    }
}

fn going_tags(shelf: &Shelf, rules: &Retention) -> String {
    let going = Going::of(shelf, rules, &[], NOW);
    let tags = going.tags.iter().map(|(tag, _, _)| tag.as_str());
    tags.collect::<Vec<_>>().join(" ")
}

/// The names of the manifests that go, of those that are called so.
fn going_of(shelf: &Shelf, rules: &Retention, names: &[&str]) -> String {
    let going = Going::of(shelf, rules, &[], NOW);
    let goes = |name: &&&str| going.manifests.iter().any(|(it, _)| *it == digest(name));
    let names = names.iter().filter(goes).copied();
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_tag_stays_if_any_criterion_of_the_first_rule_for_it_keeps_it() {
    let mut tags: Vec<Tagged> = (1..=5).map(|n| tag(&format!("pr-{n}"), n * 10)).collect();
    tags.extend([tag("latest", 400), tag("v1", 400)]);
    tags[3].pulled_at = Some(days_ago(3)); // pr-4
    let shelf = shelf(tags, Vec::new());
    let pr = |criteria: Value| {
        let mut rule = json!({"matching": ["pr-*"]});
        let fields = criteria.as_object().unwrap().clone();
        rule.as_object_mut().unwrap().extend(fields);
        rule
    };
    for (given, goes) in [
        (vec![pr(json!({"keep_newest": 2}))], "pr-3 pr-4 pr-5"),
        (vec![pr(json!({"keep_newest": 9}))], ""),
        (
            vec![pr(json!({"keep_pushed_within": "25d"}))],
            "pr-3 pr-4 pr-5",
        ),
        (
            vec![pr(json!({"keep_pushed_within": "720h"}))],
            "pr-3 pr-4 pr-5",
        ),
        (vec![pr(json!({"keep_pulled_within": "25d"}))], "pr-3 pr-5"),
        (
            vec![pr(
                json!({"keep_newest": 1, "keep_pushed_within": "21d", "keep_pulled_within": "7d"}),
            )],
            "pr-3 pr-5",
        ),
        (
            vec![
                json!({"matching": ["pr-5", "v?"], "keep_newest": 1}),
                pr(json!({"keep_newest": 1})),
            ],
            "pr-2 pr-3 pr-4 v1",
        ),
        (
            vec![json!({"matching": ["*"], "keep_newest": 5})],
            "latest v1",
        ),
        (vec![json!({"matching": ["none-*"], "keep_newest": 1})], ""),
    ] {
        let rules = rules(json!({ "tags": given }));

        assert_eq!(going_tags(&shelf, &rules), goes, "{rules}");
    }
    assert_eq!(
        going_tags(&shelf, &rules(json!({"untagged_within": "1h"}))),
        ""
    );
}

#[test]
fn what_is_immutable_or_being_pushed_stays_and_counts_among_the_newest() {
    let mut tags: Vec<Tagged> = (1..=5).map(|n| tag(&format!("v{n}"), n)).collect();
    tags[4].is_being_pushed = true;
    let shelf = shelf(tags, Vec::new());
    let rules = rules(json!({"tags": [{"matching": ["v*"], "keep_newest": 2}]}));

    let immutable = ["v1".parse().unwrap(), "v3".parse().unwrap()];
    let going = Going::of(&shelf, &rules, &immutable, NOW);

    let tags: Vec<&str> = going.tags.iter().map(|(tag, _, _)| tag.as_str()).collect();
    assert_eq!(tags, ["v4"]);
}

#[test]
fn what_a_rollback_brought_back_is_as_old_as_its_push_among_others_and_was_set_by_the_rollback() {
    let mut tags: Vec<Tagged> = (1..=3).map(|n| tag(&format!("v{n}"), n * 10)).collect();
    tags[2].set_at = days_ago(0); // v3
    let shelf = shelf(tags, Vec::new());

    let newest = rules(json!({"tags": [{"matching": ["*"], "keep_newest": 2}]}));
    let within = rules(json!({"tags": [{"matching": ["*"], "keep_pushed_within": "15d"}]}));

    assert_eq!(going_tags(&shelf, &newest), "v3");
    assert_eq!(going_tags(&shelf, &within), "v2");
}

#[test]
fn before_pulls_were_written_down_everything_may_have_been_pulled() {
    let mut shelf = shelf(vec![tag("old", 300)], Vec::new());
    let rules = rules(json!({"tags": [{"matching": ["*"], "keep_pulled_within": "14d"}]}));
    shelf.pulls_known_since = days_ago(13);
    assert_eq!(going_tags(&shelf, &rules), "");

    shelf.pulls_known_since = days_ago(14);
    assert_eq!(going_tags(&shelf, &rules), "old");
}

#[test]
fn a_manifest_goes_with_the_last_tag_that_needs_it_and_takes_along_what_only_it_needs() {
    let names = [
        "gone",
        "index",
        "child",
        "shared",
        "signature",
        "of-child",
        "attested",
        "loose",
    ];
    let mut also = tag("stays", 1);
    also.digest = digest("other");
    let mut twice = tag("pr-2", 50);
    twice.digest = digest("other");
    let tags = vec![
        tag("gone", 50),
        tag("index", 50),
        twice,
        also,
        tag("keeps", 1),
    ];
    let more = vec![
        manifest("gone", 100),
        index("index", &["child", "shared", "a blob"]),
        index("keeps", &["shared"]),
        manifest("child", 0),
        manifest("shared", 100),
        about("signature", "index"),
        about("of-child", "child"),
        about("attested", "shared"),
        manifest("loose", 100),
    ];
    let shelf = shelf(tags, more);
    let tags = json!([{"matching": ["*"], "keep_pushed_within": "30d"}]);

    let only_tags = rules(json!({ "tags": tags }));
    let all = rules(json!({"tags": tags, "untagged_within": "7d"}));

    assert_eq!(going_tags(&shelf, &all), "gone index pr-2");
    let goes = "gone index child signature of-child";
    assert_eq!(going_of(&shelf, &only_tags, &names), goes);
    assert_eq!(going_of(&shelf, &all, &names), format!("{goes} loose"));
    assert_eq!(going_of(&shelf, &all, &["other", "keeps"]), "");
}

#[test]
fn what_nothing_needs_goes_when_its_time_is_over() {
    let names = [
        "old",
        "young",
        "child-of-young",
        "signs-young",
        "signs-old",
        "signs-nothing",
        "new-signs-nothing",
    ];
    let young = Manifest {
        wanted_at: days_ago(1),
        ..index("young", &["child-of-young"])
    };
    let new_about = |name: &str, subject: &str| Manifest {
        wanted_at: days_ago(1),
        ..about(name, subject)
    };
    let more = vec![
        manifest("old", 8),
        young,
        manifest("child-of-young", 100),
        about("signs-young", "young"),
        new_about("signs-old", "old"),
        about("signs-nothing", "never pushed"),
        new_about("new-signs-nothing", "never pushed"),
    ];
    let shelf = shelf(vec![tag("latest", 400)], more);

    let a_week = rules(json!({"untagged_within": "7d"}));
    let longer = rules(json!({"untagged_within": "200d"}));
    let nothing_said = rules(json!({"tags": [{"matching": ["x"], "keep_newest": 1}]}));

    assert_eq!(
        going_of(&shelf, &a_week, &names),
        "old signs-old signs-nothing"
    );
    assert_eq!(going_of(&shelf, &longer, &names), "");
    assert_eq!(going_of(&shelf, &nothing_said, &names), "");
    assert_eq!(going_of(&shelf, &a_week, &["latest"]), "");
}

#[test]
fn what_was_just_pushed_stays_with_what_it_needs_whether_it_is_filed_or_not() {
    let pending = Manifest {
        is_filed: false,
        ..index("pending", &["child"])
    };
    let again = Manifest {
        is_just_pushed: true,
        ..manifest("again", 0)
    };
    let more = vec![
        pending,
        again,
        manifest("child", 100),
        about("signature", "child"),
    ];
    let tags = vec![tag("gone", 50), tag("again", 50)];
    let shelf = shelf(tags, more);
    let rules = rules(json!({
        "tags": [{"matching": ["*"], "keep_pushed_within": "30d"}], "untagged_within": "7d"}));

    assert_eq!(going_tags(&shelf, &rules), "gone again");
    let names = ["pending", "child", "signature", "gone", "again"];
    assert_eq!(going_of(&shelf, &rules, &names), "gone");
}

#[test]
fn it_says_why() {
    let shelf = shelf(vec![tag("pr-1", 50)], vec![manifest("loose", 100)]);
    let rules = rules(json!({
        "tags": [{"matching": ["pr-*"], "keep_pushed_within": "30d"}], "untagged_within": "7d"}));

    let going = Going::of(&shelf, &rules, &[], NOW);

    let mut told: Vec<String> = going
        .tags
        .iter()
        .map(|(_, _, why)| why.to_string())
        .collect();
    let mut manifests: Vec<String> = going
        .manifests
        .iter()
        .map(|(_, why)| why.to_string())
        .collect();
    manifests.sort();
    told.extend(manifests);
    assert_eq!(
        told,
        [
            "rule 1 (pr-*: keeps what was set within 30d); it was set 1972-08-08T00:00:00.000Z, never pulled",
            "nothing needs it, and nobody has wanted it since 1972-06-19T00:00:00.000Z",
            "the last tag that needs it goes",
        ]
    );
}

/// Manifests 0 to n, each index with children of lower numbers, so that there are no circles.
fn any_shelf() -> impl Strategy<Value = Shelf> {
    let one = (
        0..20_i64,
        any::<[u8; 2]>(),
        any::<Option<u8>>(),
        any::<bool>(),
    );
    let manifests = proptest::collection::vec(one, 1..12);
    let tags = proptest::collection::vec((0..20_i64, any::<u8>(), any::<bool>()), 0..8);
    (manifests, tags).prop_map(|(manifests, tags)| {
        let named = |n: usize| digest(&n.to_string());
        let made = manifests
            .iter()
            .enumerate()
            .map(|(n, (days, children, subject, is_filed))| {
                let lower = |it: &u8| (n > 0).then(|| named(usize::from(*it) % n));
                Manifest {
                    digest: named(n),
                    children: children
                        .iter()
                        .filter_map(lower)
                        .filter(|_| n % 3 == 0)
                        .collect(),
                    subject: subject.as_ref().and_then(lower).filter(|_| n % 3 == 1),
                    wanted_at: days_ago(*days),
                    is_filed: *is_filed || n % 4 != 0,
                    is_just_pushed: *days == 0 && n % 5 == 0,
                }
            });
        let made: Vec<Manifest> = made.collect();
        let filed: Vec<Digest> = made
            .iter()
            .filter(|it| it.is_filed)
            .map(|it| it.digest)
            .collect();
        let tagged = tags.iter().enumerate().filter(|_| !filed.is_empty());
        let tagged = tagged.map(|(n, (days, at, is_being_pushed))| Tagged {
            digest: filed[usize::from(*at) % filed.len()],
            is_being_pushed: *is_being_pushed && n % 5 == 0,
            ..tag(&format!("t{n}"), *days)
        });
        Shelf {
            tags: tagged.collect(),
            manifests: made,
            pulls_known_since: Timestamp(0),
        }
    })
}

/// What is left when that is gone.
fn left(shelf: &Shelf, going: &Going) -> Shelf {
    let mut left = shelf.clone();
    left.tags
        .retain(|it| !going.tags.iter().any(|(tag, _, _)| *tag == it.tag));
    left.manifests
        .retain(|it| !going.manifests.iter().any(|(gone, _)| *gone == it.digest));
    left
}

proptest! {
    #[test]
    fn nothing_goes_that_something_needs_which_stays_and_a_second_run_finds_nothing(
        shelf in any_shelf(),
        newest in 1..4_u32,
        untagged in proptest::option::of(1..20_u32),
    ) {
        let mut given = json!({"tags": [
            {"matching": ["t1", "t2", "t3"], "keep_newest": newest},
            {"matching": ["t*"], "keep_pushed_within": "10d"},
        ]});
        if let Some(days) = untagged {
            given["untagged_within"] = json!(format!("{days}d"));
        }
        let rules = rules(given);

        let going = Going::of(&shelf, &rules, &[], NOW);

        let left = left(&shelf, &going);
        let there: HashSet<Digest> = left.manifests.iter().map(|it| it.digest).collect();
        let was: HashSet<Digest> = shelf.manifests.iter().map(|it| it.digest).collect();
        for tagged in &left.tags {
            prop_assert!(there.contains(&tagged.digest));
        }
        for manifest in &left.manifests {
            for child in manifest.children.iter().filter(|child| was.contains(*child)) {
                prop_assert!(there.contains(child), "a child of what stays");
            }
        }
        for manifest in &shelf.manifests {
            prop_assert!(manifest.is_filed || there.contains(&manifest.digest));
            if let Some(subject) = manifest.subject {
                let (stays, subject_stays) = (there.contains(&manifest.digest), there.contains(&subject));
                prop_assert!(stays || !subject_stays, "it is about something that stays");
            }
        }
        let again = Going::of(&left, &rules, &[], NOW);
        prop_assert!(again.tags.is_empty(), "{again:?}");
        if untagged.is_some() {
            prop_assert!(again.is_nothing(), "{again:?}");
        }
    }
}

#[test]
fn a_signature_by_tag_stays_and_goes_with_what_it_signs_and_no_rule_counts_it() {
    let mut tags = Vec::new();
    let mut more = Vec::new();
    for (n, name) in (0..).zip(["v1", "v2", "v3", "v4"]) {
        tags.push(tag(name, 40 - 10 * n));
        tags.push(signature(name, 40 - 10 * n));
        more.push(manifest(&format!("signature of {name}"), 40 - 10 * n));
    }
    let mut shelf = shelf(tags, Vec::new());
    shelf.manifests.retain(|it| {
        ["v1", "v2", "v3", "v4"]
            .iter()
            .any(|name| it.digest == digest(name))
    });
    shelf.manifests.extend(more);
    let keeps = rules(json!({"tags": [{"matching": ["*"], "keep_newest": 3}]}));

    let going = Going::of(&shelf, &keeps, &[], NOW);
    let immutable = Going::of(&shelf, &keeps, &["v*".parse().unwrap()], NOW);

    let names: Vec<String> = going.tags.iter().map(|(tag, ..)| tag.to_string()).collect();
    let signature = signature("v1", 0).tag.to_string();
    assert_eq!(names, ["v1".to_owned(), signature]);
    assert_eq!(going.manifests.len(), 2, "{going:?}");
    assert!(immutable.is_nothing(), "{immutable:?}");
}
