//! Holds a workflow against laws of the engine, each with what it must have done at least.

macro_rules! keeps {
    ($workflow:ident: $world:ty; $($test:ident: $law:ident does at least $plans:literal $executions:literal $compensations:literal $faults:literal $actions:literal;)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let done = engine::prove::laws::$law::<$world>().await;
            println!("{} of {}: {done:?}", stringify!($law), stringify!($workflow));
            let did = [
                done.plans,
                done.executions,
                done.compensations,
                done.faults,
                done.actions,
            ];
            let least = [$plans, $executions, $compensations, $faults, $actions];
            assert!(did.iter().zip(least).all(|(did, least)| *did >= least), "{done:?}");
        }
    )* };
}

pub(crate) use keeps;
