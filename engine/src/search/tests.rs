use super::*;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_769_869_815_500);

fn parse(text: &str) -> Result<Expr, SearchError> {
    Search::parse(text, NOW).map(|search: Search| search.wanted.expect("it asks for something"))
}

fn read(text: &str) -> Expr {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn told(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn is(field: Field, values: &[&str]) -> Expr {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Expr::Term(Term {
        field,
        test: Test::Is(values),
    })
}

#[test]
fn an_empty_search_finds_everything() {
    assert_eq!(<Search>::parse(" \t", NOW).unwrap().wanted, None);
}

#[test]
fn or_binds_loosest_then_and_then_not() {
    let (push, latest, acme) = (
        is(Field::Label, &["push"]),
        is(Field::Tag, &["latest"]),
        is(Field::Organization, &["acme"]),
    );
    let both = Expr::All(vec![Expr::Not(Box::new(latest.clone())), acme.clone()]);

    assert_eq!(
        read("label = push OR Not tag = latest AND organization = ACME"),
        Expr::Any(vec![push.clone(), both.clone()])
    );
    assert_eq!(
        read("label=push or not tag=latest organization=acme"),
        Expr::Any(vec![push.clone(), both]),
        "`and` may be left out"
    );
    assert_eq!(
        read("(label = push or tag = latest) and organization = acme"),
        Expr::All(vec![Expr::Any(vec![push, latest]), acme])
    );
}

#[test]
fn a_negated_operator_is_the_negation() {
    for (negated, plain) in [
        ("tag != a", "tag = a"),
        ("tag !~ a", "tag ~ a"),
        ("tag !^ (a, b)", "tag ^ (a, b)"),
        ("reason != error", "reason = error"),
    ] {
        assert_eq!(read(negated), Expr::Not(Box::new(read(plain))), "{negated}");
    }
    assert_eq!(
        read("state != stopped"),
        is(Field::State, &["pending", "running", "paused"]),
        "one of them is always there"
    );
}

#[test]
fn values_may_be_quoted_and_listed() {
    assert_eq!(
        read(r#"tag = "say \"and\" \\ or""#),
        is(Field::Tag, &[r#"say "and" \ or"#])
    );
    assert_eq!(
        read("tag ^ (1.0, \"a b\",sha256:c)"),
        is(Field::Tag, &["1.0", "a b", "sha256:c"])
    );
    assert_eq!(read("tag ^ 1, 2"), is(Field::Tag, &["1", "2"]));
    assert_eq!(
        read("STATE = Paused"),
        is(Field::State, &["paused"]),
        "words and names of fields are without case"
    );
}

#[test]
fn a_bare_word_stands_in_one_of_the_texts() {
    let Expr::Any(fields) = read("busybox") else {
        panic!("it could be in several fields")
    };
    let pattern = Test::Like(Pattern::new("busybox"));
    assert!(fields.contains(&Expr::Term(Term {
        field: Field::Repository,
        test: pattern
    })));
    assert_eq!(
        read("and_more \"state\""),
        Expr::All(vec![read("and_more"), read("\"state\"")])
    );
}

#[test]
fn sides_of_a_value_leave_out_all_that_it_stands_for() {
    let within = |text: &str| {
        let Expr::Term(Term {
            test: Test::Within(ranges),
            ..
        }) = read(text)
        else {
            panic!("{text} is about times")
        };
        ranges[0]
    };
    let day = within("created_at = 2026-01-31");

    assert_eq!(day.high - day.low, 86_399_999);
    assert_eq!(within("created_at > 2026-01-31").low, day.high + 1);
    assert_eq!(within("created_at >= 2026-01-31").low, day.low);
    assert_eq!(within("created_at < 2026-01-31").high, day.low - 1);
    assert_eq!(within("created_at <= 2026-01-31").high, day.high);
}

#[test]
fn what_is_not_understood_is_told_with_its_position() {
    #[rustfmt::skip]
    let cases = [
        ("state =",           "at position 7 the search holds its end, but a value was expected"),
        ("state = paused or", "at position 17 the search holds its end, but one of the fields id, label,"),
        ("state paused",      "at position 6 the search holds `paused`, but one of `=`, `!=`, `~`, `!~`, `^`, `!^` (or put `state` in quotes) was expected"),
        ("colour = red",      "at position 0 the search holds `colour`, but one of the fields id, label,"),
        ("state = paus",      "at position 8 the search holds `paus`, but one of pending, running, paused, stopped was expected"),
        ("tag > 1",           "at position 4 the search holds `>`, but one of `=`, `!=`, `~`, `!~`, `^`, `!^` behind `tag` was expected"),
        ("attempt ~ 1",       "at position 8 the search holds `~`, but one of `=`, `!=`, `^`, `!^`, `>`, `>=`, `<`, `<=` behind `attempt` was expected"),
        ("attempt > many",    "at position 10 the search holds `many`, but a whole number was expected"),
        ("ended_at < soon",   "at position 11 the search holds `soon`, but a time such as"),
        ("duration > 5",      "at position 11 the search holds `5`, but a duration such as"),
        ("id = 7",            "at position 5 the search holds `7`, but an id, which is a UUID was expected"),
        ("(tag = 1",          "at position 8 the search holds its end, but `and`, `or`, a field or `)` was expected"),
        ("tag = 1)",          "at position 7 the search holds `)`, but `and`, `or`, a field or the end was expected"),
        ("tag ^ (1, 2",       "at position 11 the search holds its end, but `,` or `)` was expected"),
        ("tag = \"a",         "at position 8 the search holds its end, but a closing quote was expected"),
        ("tag ! 1",           "at position 4 the search holds `!`, but `!=`, `!~`, `!^` or `not` was expected"),
        ("tag = and",         "at position 6 the search holds `and`, but a value was expected"),
        ("state = dancing",   "at position 8 the search holds `dancing`, but one of pending, running, paused, stopped was expected"),
        ("result = dancing",  "at position 9 the search holds `dancing`, but one of pending, success, warning, error, cancelled, reverted was expected"),
        ("reason != dancing", "at position 10 the search holds `dancing`, but one of error, poison, interrupted, compensation_error, operator, superseded was expected"),
        ("waiting = dancing", "at position 10 the search holds `dancing`, but one of lock, retry, time, child, event, gate, node, operator, held was expected"),
        ("state ^ (paused, dancing)", "at position 17 the search holds `dancing`, but one of pending, running, paused, stopped was expected"),
        ("tag = \"é 😀\" and state = dancing", "at position 24 the search holds `dancing`, but one of pending,"),
        ("tag = 😀 and ñ = 1", "at position 12 the search holds `ñ`, but one of the fields id, label,"),
        ("ended_at > 2026-02-30", "at position 11 the search holds `2026-02-30`, but a time such as"),
        ("attempt = 1.5",     "at position 10 the search holds `1.5`, but a whole number was expected"),
        ("created_at > 2026-01-31 14:30", "at position 24 the search holds `14:30`, but `and`, `or`, a field or the end (or quotes: `\"2026-01-31 14:30\"`) was expected"),
        ("tag = é\u{0}",      "at position 7 the search holds `\\0`, but a field, an operator or a value was expected"),
    ];
    for (text, start) in cases {
        let told = told(text);
        assert!(told.starts_with(start), "{text}: {told}");
    }
}

#[test]
fn a_search_is_bounded_in_length_depth_values_and_patterns() {
    let levels = |n: usize| format!("{}tag = a{}", "(".repeat(n), ")".repeat(n));
    let values = |n: usize| format!("tag ^ ({})", vec!["a"; n].join(","));

    assert!(parse(&levels(64)).is_ok());
    assert!(told(&levels(65)).contains("at position 64"));
    assert!(told(&"not ".repeat(65)).contains("at most 64"));
    assert!(parse(&values(100)).is_ok());
    assert!(told(&values(101)).contains("at most 100 values"));
    assert!(parse(&"a ".repeat(10)).is_ok());
    assert!(told(&"a ".repeat(11)).contains("at position 20"));
    assert!(told(&"tag ~ a ".repeat(11)).contains("at most 10 words"));
    assert!(told(&"é".repeat(2_049)).contains("at most 4096 bytes"));
}

#[test]
fn a_sort_is_a_field_with_a_direction() {
    let sort = |text: &str| Sort::<Order>::parse(text);
    let started = |descending| Sort {
        by: Order::StartedAt,
        descending,
    };

    assert_eq!(sort("started_at"), Ok(started(false)));
    assert_eq!(sort("Started_At ASC"), Ok(started(false)));
    assert_eq!(sort("started_at desc"), Ok(started(true)));
    assert_eq!(sort("-started_at"), Ok(started(true)));
    for text in [
        "",
        "-",
        "state",
        "started_at up",
        "-started_at desc",
        "a b c",
    ] {
        assert!(sort(text).is_err(), "{text}");
    }
    assert_eq!(
        sort("state").unwrap_err().to_string(),
        "\"state\" is no order of this list; write one of created_at, started_at, ended_at, label, user, organization, \
         with `desc` behind it for the reverse"
    );
}

#[test]
fn the_documentation_has_every_field_with_an_example_that_is_read() {
    let document = include_str!("../../../docs/search.md");
    let (_, tasks) = document.split_once("## Tasks").unwrap();
    let (tasks, _) = tasks.split_once("## Repositories").unwrap();

    for field in Field::VARIANTS {
        assert!(tasks.contains(&format!("`{field}`")), "{field}");
    }
    for row in tasks.lines().filter(|line| line.starts_with("| `")) {
        let example = row.rsplit('`').nth(1).unwrap();
        read(example);
    }
    for order in Order::VARIANTS {
        let (_, orders) = tasks.split_once("Sorted by").unwrap();
        assert!(orders.contains(&format!("`{order}`")), "{order}");
    }
}

proptest! {
    #[test]
    fn whatever_is_typed_is_read_or_told_within_the_text(text in "[a-z_ =!~^<>()\",\\\\é0-9-]{0,60}") {
        if let Err(error) = <Search>::parse(&text, NOW) {
            prop_assert!(error.position <= text.chars().count());
        }
    }

    #[test]
    fn what_is_put_in_quotes_is_found_as_it_is(tag in "[^\\p{Cc}]{0,40}") {
        let quoted = tag.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(read(&format!("tag = \"{quoted}\"")), is(Field::Tag, &[&tag]));
    }
}
