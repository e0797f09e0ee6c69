//! Pictures of small graphs as they are, and what holds for the picture of any graph.

use std::time::Instant;

use super::svg::Drawing;
use super::*;
use crate::journal::{GraphStep, Rescue};
use proptest::prelude::*;

fn step(name: &str, state: &str, word: &str) -> Vertex {
    Vertex {
        name: name.to_owned(),
        state: state.to_owned(),
        word: word.to_owned(),
        ..Vertex::default()
    }
}

fn picture(title: &str, vertices: Vec<Vertex>, edges: &[(usize, usize)]) -> Picture {
    let is_done = |at: usize| matches!(vertices[at].state.as_str(), "success" | "skipped");
    let edges = edges.iter().map(|(from, to)| Edge {
        from: *from,
        to: *to,
        label: String::new(),
        passed: if is_done(*from) {
            Passed::Done
        } else {
            Passed::ToDo
        },
    });
    Picture {
        title: title.to_owned(),
        of: "steps",
        edges: edges.collect(),
        vertices,
    }
}

/// A push that is paused at its fifth step.
fn paused_push() -> Picture {
    let mut vertices = vec![
        step("authorize", "success", "success, 4 ms"),
        step("forward", "success", "success, 410 ms"),
        step("locate_push_repository", "success", "success, 130 ms"),
        step("copy", "error", "error, 5 attempts"),
        step("ensure_product", "success", "success, 31 ms"),
        step("ensure_repository", "pending", "pending"),
        step("reindex", "pending", "pending"),
    ];
    vertices[3].attempts = vec![Attempt::Failed; 5];
    vertices[3].about = "the content store answered 503".to_owned();
    let edges = [(0, 1), (1, 2), (2, 3), (0, 4), (3, 5), (4, 5), (5, 6)];
    picture(
        "Push acme/shop/web:1.4: paused, 4 of 7 steps done",
        vertices,
        &edges,
    )
}

#[test]
fn a_paused_push_as_svg() {
    insta::assert_snapshot!(svg(&paused_push()));
}

#[test]
fn a_paused_push_inside_a_page() {
    insta::assert_snapshot!(for_page(&paused_push(), Some("copy")));
}

#[test]
fn a_paused_push_for_graphviz() {
    insta::assert_snapshot!(dot(&paused_push()));
}

#[test]
fn a_paused_push_for_mermaid() {
    insta::assert_snapshot!(mermaid(&paused_push()));
}

#[test]
fn a_paused_push_for_a_terminal() {
    insta::assert_snapshot!(terminal(&paused_push()));
}

#[test]
fn the_states_of_a_plan_for_a_terminal() {
    insta::assert_snapshot!(terminal(&plan_states()));
}

#[test]
fn the_states_of_a_plan_for_mermaid() {
    insta::assert_snapshot!(mermaid(&plan_states()));
}

#[test]
fn a_declared_workflow_says_how_often_a_step_is_tried_and_what_then() {
    let steps = [
        GraphStep {
            rescue: Rescue::Fail,
            ..GraphStep::new("fetch", vec![])
        },
        GraphStep {
            attempts: 5,
            ..GraphStep::new("store", vec![0])
        },
    ];

    let drawn = terminal(&workflow("mirror", &steps));

    insta::assert_snapshot!(drawn);
}

#[test]
fn every_transition_of_the_tables_is_in_the_picture() {
    for (machine, rows) in [
        (step_states(), crate::state::STEP_TRANSITIONS.len()),
        (plan_states(), crate::state::PLAN_TRANSITIONS.len()),
    ] {
        let drawn: usize = machine
            .edges
            .iter()
            .map(|it| it.label.split(", ").count())
            .sum();
        assert_eq!(drawn, rows, "{}", machine.title);
        let svg = svg(&machine);
        let xml = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<_> = xml.descendants().filter_map(|it| it.text()).collect();
        for edge in &machine.edges {
            assert!(texts.contains(&edge.label.as_str()), "{}", edge.label);
        }
    }
}

/// What a stranger might put into a name, an error or the text of a push.
const HOSTILE: &str = "</title><script>alert('x')</script> & \"quoted\" \\N #quot; `x` ]]> \u{202e}\u{7}\u{0}\n--><x y='z";

#[test]
fn no_text_breaks_out_of_a_picture() {
    let mut vertices = vec![step(HOSTILE, "error", HOSTILE), step("plain", HOSTILE, "x")];
    vertices[0].about = HOSTILE.to_owned();
    let hostile = picture(HOSTILE, vertices, &[(0, 1)]);

    for svg in [svg(&hostile), for_page(&hostile, Some(HOSTILE))] {
        let xml = roxmltree::Document::parse(&svg).unwrap();
        for element in xml.descendants().filter(roxmltree::Node::is_element) {
            let name = element.tag_name().name();
            assert!(
                !["script", "x", "foreignObject", "image", "use"].contains(&name),
                "{svg}"
            );
            for attribute in element.attributes() {
                assert!(!attribute.name().starts_with("on"), "{attribute:?}");
                let leads_out = attribute.name() == "href" && !attribute.value().starts_with('?');
                assert!(!leads_out, "{attribute:?}");
            }
        }
        assert!(!svg.contains('\u{202e}'), "{svg}");
    }
    let dot = dot(&hostile);
    assert_eq!(
        dot.lines().filter(|it| it.contains(" -> ")).count(),
        1,
        "{dot}"
    );
    assert_eq!(dot.lines().count(), 8, "{dot}");
    assert_eq!(
        mermaid(&hostile).matches('<').count(),
        2,
        "only its own line breaks"
    );
    assert_eq!(terminal(&hostile).lines().count(), 3);
}

#[test]
fn a_plan_of_ten_thousand_steps_is_drawn_in_part_and_says_so() {
    let name = |it: usize| format!("part_{it}");
    let wide: Vec<_> = (1..9_999).flat_map(|it| [(0, it), (it, 9_999)]).collect();
    let long: Vec<_> = (1..10_000).map(|it| (it - 1, it)).collect();
    let dense: Vec<_> = (1..10_000_usize)
        .flat_map(|it| (it.saturating_sub(20)..it).map(move |from| (from, it)))
        .collect();
    for edges in [wide, long, dense] {
        let mut vertices: Vec<_> = (0..10_000)
            .map(|it| step(&name(it), "pending", "pending"))
            .collect();
        vertices[8_000] = step("part_8000", "error", "error");
        let large = picture("Large", vertices, &edges);
        let began = Instant::now();

        let drawn = svg(&large);

        assert!(drawn.contains("of 10000 steps are not drawn"));
        assert!(drawn.contains("part_8000"), "what failed is in it");
        assert!(drawn.len() < 2 << 20, "{} bytes", drawn.len());
        for text in [dot(&large), mermaid(&large), terminal(&large)] {
            assert!(text.contains("part_9998"));
        }
        let took = began.elapsed().as_secs();
        assert!(took < 20, "it took {took} s");
    }
}

/// Any graph without circles: each step waits for some of those before it.
fn any_graph() -> impl Strategy<Value = Picture> {
    let states = [
        "success",
        "error",
        "running",
        "pending",
        "skipped",
        "retrying",
        "compensated",
    ];
    let step = (
        "[a-z<&\"_]{1,30}",
        0..states.len(),
        "[ -~é字]{0,20}",
        prop::collection::vec(0_usize..60, 0..4),
    );
    prop::collection::vec(step, 1..=60).prop_map(move |steps| {
        let mut edges = Vec::new();
        let mut vertices = Vec::new();
        for (at, (name, state, word, before)) in steps.into_iter().enumerate() {
            let mut before: Vec<usize> = before.into_iter().filter(|it| *it < at).collect();
            before.sort_unstable();
            before.dedup();
            edges.extend(before.into_iter().map(|from| (from, at)));
            vertices.push(super::tests::step(
                &format!("{name}{at}"),
                states[state],
                &word,
            ));
        }
        picture("Any graph", vertices, &edges)
    })
}

proptest! {
    #[test]
    fn any_graph_is_well_formed_and_names_every_step(graph in any_graph()) {
        for svg in [svg(&graph), for_page(&graph, None)] {
            let xml = roxmltree::Document::parse(&svg).unwrap();
            let texts: std::collections::HashSet<_> = xml.descendants().filter_map(|it| it.text()).collect();
            for vertex in &graph.vertices {
                prop_assert!(texts.contains(vertex.name.as_str()), "no {}", vertex.name);
            }
            let of_class = |class: &str| xml.descendants().filter(|it| {
                it.attribute("class").is_some_and(|it| it.split(' ').any(|it| it == class))
            }).count();
            prop_assert_eq!(of_class("node"), graph.vertices.len());
            prop_assert_eq!(of_class("edge"), graph.edges.len());
        }
        prop_assert_eq!(svg(&graph), svg(&graph.clone()));
    }

    #[test]
    fn boxes_of_any_graph_lie_apart_and_lines_go_from_left_to_right_around_them(graph in any_graph()) {
        let layout = Drawing::of(&graph).layout;
        let boxes = &layout.places;
        for (at, one) in boxes.iter().enumerate() {
            prop_assert!(one.x >= 0 && one.x + one.width <= layout.width);
            prop_assert!(one.y >= 0 && one.y + one.height <= layout.height);
            for other in &boxes[at + 1..] {
                let beside = one.x + one.width < other.x || other.x + other.width < one.x;
                let below = one.y + one.height < other.y || other.y + other.height < one.y;
                prop_assert!(beside || below, "{one:?} {other:?}");
            }
        }
        for (edge, way) in graph.edges.iter().zip(&layout.ways) {
            let (from, to) = (boxes[edge.from], boxes[edge.to]);
            prop_assert!(from.x + from.width < to.x);
            let points = corners(&way.line);
            prop_assert_eq!(points[0].0, from.x + from.width);
            for pair in points.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                prop_assert!(a.0 <= b.0, "{}", way.line);
                let (top, bottom) = (a.1.min(b.1), a.1.max(b.1));
                for it in boxes {
                    let is_clear = b.0 <= it.x || a.0 >= it.x + it.width || bottom < it.y || top > it.y + it.height;
                    prop_assert!(is_clear, "{} runs through {it:?}", way.line);
                }
            }
        }
    }
}

/// The points that a path of `M`, `H`, `V` and `Q` passes.
fn corners(path: &str) -> Vec<(i32, i32)> {
    let mut points: Vec<(i32, i32)> = Vec::new();
    let commands = path.chars().filter(char::is_ascii_alphabetic);
    let numbers = path.split(|it: char| it.is_ascii_alphabetic()).skip(1);
    for (command, numbers) in commands.zip(numbers) {
        let numbers: Vec<i32> = numbers.split(' ').map(|it| it.parse().unwrap()).collect();
        let (x, y) = points.last().copied().unwrap_or_default();
        match (command, numbers.as_slice()) {
            ('M', [x, y]) => points.push((*x, *y)),
            ('H', [x]) => points.push((*x, y)),
            ('V', [y]) => points.push((x, *y)),
            ('Q', [a, b, x, y]) => points.extend([(*a, *b), (*x, *y)]),
            other => panic!("a path does not have {other:?}"),
        }
    }
    points
}
