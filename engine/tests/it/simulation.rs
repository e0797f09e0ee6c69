//! Two or three nodes in bad weather, ten thousand times; and broken ones, each caught.

use engine::prove::simulation::{Did, Twin, play};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Plays these seeds on all cores; answers with what was done and the first that went wrong.
fn play_all(seeds: std::ops::Range<u64>, twin: Option<Twin>) -> (Did, Option<(u64, Vec<String>)>) {
    let (next, all) = (
        AtomicU64::new(seeds.start),
        Mutex::new((Did::default(), None)),
    );
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || all.lock().unwrap().1.is_some() {
                        return;
                    }
                    let played = play(seed, twin);
                    let mut all = all.lock().unwrap();
                    match played {
                        Ok(did) => all.0 += did,
                        Err(wrong) => {
                            let first = all.1.take().filter(|(first, _)| *first < seed);
                            all.1 = first.or(Some((seed, wrong)));
                        }
                    }
                }
            });
        }
    });
    all.into_inner().unwrap()
}

/// What whoever plays a seed again, or more of them, asks for.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no other configuration"
)]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|number| number.parse().unwrap())
}

fn quiet() {
    std::panic::set_hook(Box::new(|info| {
        let said = info.payload().downcast_ref::<&str>().copied();
        if said != Some("fell over") {
            eprintln!("{info}");
        }
    }));
}

#[test]
fn whatever_the_weather_every_plan_ends_with_nothing_lost_or_doubled() {
    quiet();
    let one = asked("SEED");
    let count = asked("SEEDS").unwrap_or(10_000);
    let seeds = one.map_or(0..count, |seed| seed..seed + 1);
    let begun = Instant::now();

    let (did, wrong) = play_all(seeds, None);

    println!("{count} seeds in {:?}: {did}", begun.elapsed());
    if let Some((seed, wrong)) = wrong {
        panic!(
            "seed {seed} goes wrong; SEED={seed} cargo test -p engine --test it simulation plays it again:\n{}",
            wrong.join("\n")
        );
    }
    let too_few = did.too_few(usize::try_from(count).unwrap());
    assert!(
        one.is_some() || too_few.is_empty(),
        "too little was done:\n{}",
        too_few.join("\n")
    );
}

#[test]
fn a_broken_twin_is_noticed() {
    quiet();
    for twin in [
        Twin::FenceOff,
        Twin::UnknownIsFailure,
        Twin::HintsOnly,
        Twin::UndoesFailedSteps,
        Twin::FiresWhatIsFired,
        Twin::LocksForAll,
        Twin::ForgetsWhatWasSeen,
        Twin::FirstComeFirstServed,
        Twin::PassesClosedGates,
    ] {
        let (_, wrong) = play_all(0..2000, Some(twin));
        let (seed, wrong) = wrong.unwrap_or_else(|| panic!("nobody noticed {twin:?}"));
        let took = seed + 1;
        println!("{twin:?} took {took} seeds to be noticed: {}", wrong[0]);
    }
}
