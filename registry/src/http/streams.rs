//! The tasks of HTTP/2: each request of such a connection is answered in one of its own.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where these tasks run; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    tasks: TaskTracker,
    broken_off: CancellationToken,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let broken_off = self.broken_off.clone();
        self.tasks.spawn(async move {
            broken_off.run_until_cancelled_owned(task).await;
        });
    }
}

impl Streams {
    /// Ends those that still run. Their connections are closed already.
    pub(super) async fn break_off(self) {
        self.broken_off.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
