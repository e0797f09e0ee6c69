//! The only node dies and starts again, with plans under way.

use std::time::Instant;

use storage::Database;

use super::waits::Listens;
use super::{Bench, PATIENCE, close, node, run, since};
use crate::bench::BenchError;
use crate::bench::chain::Chain;

const RUNS: usize = 5;
/// Plans that are open when it dies.
const OPEN: u32 = 500;

pub(super) async fn measure(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let mut times = Vec::with_capacity(RUNS);
    for run_number in 0..RUNS {
        // Of its own: what the run before left open would be taken up, too.
        let path = bench.folder.join(format!("restart{run_number}.db"));
        let database = Database::open(&path).await?;
        let before = node(&database).await?;
        for _ in 0..OPEN {
            before.submit(&Listens { lock: None }, None).await?;
        }
        let open = before.submit(&Chain { number: 0 }, None).await?;
        before.kill().await;
        drop(before); // it holds the database
        database.close().await;

        let start = Instant::now();
        let database = Database::open(&path).await?;
        let after = node(&database).await?;
        run(&after, &Chain { number: 1 }).await?;
        times.push(since(start));
        after.wait(open, PATIENCE).await?;
        close(after, database).await;
    }
    let what = format!(
        "from opening the database to the end of a plan of eight steps, with {OPEN} and more plans taken up; the process itself and its port are in `bench push`"
    );
    let about = bench.noted(&what)?;
    bench
        .report
        .median("restart_to_first_step", times, "ms", about);
    bench.report.must("<= 500");
    Ok(())
}
