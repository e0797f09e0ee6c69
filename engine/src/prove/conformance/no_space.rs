//! What a store does whose disk is full in the middle of writes that wait together, and what such writes do to each other.

use super::{AT, append, node, nonce, place, placed, submitted};
use crate::decide::Happening;
use crate::journal::{Action, Json, Message, PlanId};
use crate::lock::LockMode;
use crate::plan::Plan;
use crate::prove::Faulty;
use crate::store::{Append, Store, StoreError};
use futures_util::future::join_all;
use tokio::sync::oneshot;

/// So much a write of the full disk takes at the least.
const BYTES: usize = 32 * 1024;
const GROUPS: usize = 8;
/// Appends and works that wait together.
const GROUP: usize = 12;

/// The disk of a store, which can be made small.
pub trait SmallDisk {
    /// From now on there is space for about so many more writes of so many bytes.
    fn leave(&self, writes: usize, bytes: usize) -> impl Future<Output = ()> + Send;
    /// There is space again.
    fn free(&self) -> impl Future<Output = ()> + Send;
}

impl<St: Store> SmallDisk for Faulty<St> {
    async fn leave(&self, writes: usize, _bytes: usize) {
        self.fill_after(writes);
    }

    async fn free(&self) {
        Faulty::free(self);
    }
}

/// Makes a test of each requirement for a store on a small disk, which `$fresh` makes with its disk and whatever must be kept.
#[macro_export]
macro_rules! store_conformance_on_a_small_disk {
    ($fresh:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_disk_that_is_full_in_the_middle_takes_writes_whole_or_not_and_goes_on_with_space() {
            let (store, disk, _kept) = ($fresh)().await;
            $crate::prove::conformance::a_disk_that_is_full_in_the_middle_takes_writes_whole_or_not_and_goes_on_with_space(&store, &disk).await;
        }
    };
}

/// A write, and how to see whether all of it is there.
struct Write {
    append: Append,
    next: Plan,
    /// Gets the lock that the append lets go.
    heir: Plan,
    /// The same transaction puts a message into this mailbox.
    tells: Option<PlanId>,
}

impl Write {
    /// A plan with a lock, its heir, and the step that lets the lock go with an output of so many bytes.
    async fn new<St: Store>(store: &St, bytes: usize, tells: bool) -> Self {
        let resource = format!("resource {}", nonce());
        let locks = [(resource.as_str(), LockMode::Exclusive)];
        let plan = placed(store, &locks).await;
        let heir = placed(store, &locks).await;
        let done = Happening::Succeeded {
            step: 0,
            output: Json::of(&"x".repeat(bytes)).expect("a text is JSON"),
            warning: None,
            form: 1,
        };
        let (append, next) = append(&plan, done);
        Self {
            append,
            next,
            tells: tells.then_some(heir.id),
            heir,
        }
    }

    async fn make<St: Store>(&self, store: &St) -> Result<(), StoreError> {
        let append = self.append.clone();
        let Some(to) = self.tells else {
            return store.append(append).await.map(drop);
        };
        let work = store.transact::<(), StoreError>(Box::new(move |tx| {
            Box::pin(async move {
                St::append_in(tx, append).await?;
                St::deliver_in(tx, to, message(), AT).await?;
                Ok(())
            })
        }));
        work.await?
    }

    /// All of it is there, or nothing of it; anything between fails.
    async fn is_there<St: Store>(&self, store: &St) -> bool {
        let rows = store.load(self.next.id).await.expect("it can be read");
        let due = store.due(node(1), vec![self.heir.id]);
        let inherited = !due.await.expect("it can be read").granted.is_empty();
        let mail = store.mail(self.heir.id).await.expect("it can be read");
        let there = rows.len() == 2;
        if there {
            assert_eq!(rows[1], self.append.row);
            assert_eq!(Plan::fold(self.next.id, &rows), self.next);
        } else {
            assert_eq!(rows.len(), 1);
        }
        assert_eq!(inherited, there, "the lock goes with the row");
        let told = there && self.tells.is_some();
        assert_eq!(
            mail.len(),
            usize::from(told),
            "the message comes with the row"
        );
        there
    }
}

fn message() -> Message {
    Message {
        action: Action::Cancel,
        by: "me".into(),
        reason: None,
    }
}

/// Begins all of it while the store is held, so that it waits together, and answers in its order.
async fn together<St: Store, T>(store: &St, writes: Vec<impl Future<Output = T>>) -> Vec<T> {
    let (go_on, held) = oneshot::channel::<()>();
    let (holds, is_held) = oneshot::channel();
    let holding = store.transact::<(), ()>(Box::new(move |_| {
        Box::pin(async move {
            let _told = holds.send(());
            let _gone = held.await;
            Err(()) // it writes nothing
        })
    }));
    let writes = async {
        let _is_held = is_held.await;
        let all = join_all(writes);
        tokio::pin!(all);
        // All have begun before the first may end.
        let begun = futures_util::poll!(&mut all);
        let _held_until_now = go_on.send(());
        match begun {
            std::task::Poll::Ready(all) => all,
            std::task::Poll::Pending => all.await,
        }
    };
    let (held, written) = tokio::join!(holding, writes);
    drop(held);
    written
}

/// What was acknowledged is there, what was refused for want of space left nothing and is told so, all of it can be read
/// meanwhile, and once there is space the same store takes the same writes.
pub async fn a_disk_that_is_full_in_the_middle_takes_writes_whole_or_not_and_goes_on_with_space<
    St: Store,
>(
    store: &St,
    disk: &impl SmallDisk,
) {
    let mut groups = Vec::new();
    for _ in 0..GROUPS {
        let mut group = Vec::new();
        for n in 0..GROUP {
            group.push(Write::new(store, BYTES, n % 3 == 2).await);
        }
        groups.push(group);
    }
    // In the middle of the third.
    disk.leave(2 * GROUP + GROUP / 2, BYTES).await;

    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for group in &groups {
        let writes = group.iter().map(|write| write.make(store)).collect();
        for (write, answer) in group.iter().zip(together(store, writes).await) {
            match answer {
                Ok(()) => acknowledged.push(write),
                Err(StoreError::Full) => refused.push(write),
                Err(error) => panic!("a full disk is told as something else: {error}"),
            }
        }
    }
    for write in &acknowledged {
        assert!(write.is_there(store).await, "it was acknowledged");
    }
    for write in &refused {
        assert!(!write.is_there(store).await, "it was refused");
    }
    let taken = acknowledged.len();
    disk.free().await;
    for write in &refused {
        write.make(store).await.expect("there is space again");
        assert!(write.is_there(store).await, "it was acknowledged");
        let again = write.make(store).await;
        assert!(matches!(again, Err(StoreError::Fenced { .. })), "{again:?}");
    }
    place(store, submitted(&[], "acme", &[]), None)
        .await
        .expect("it has no key");

    println!(
        "full disk: of {} writes of {BYTES} bytes in {GROUPS} groups {taken} were acknowledged and {} refused, and taken later",
        GROUPS * GROUP,
        refused.len()
    );
    assert!(taken >= GROUP, "only {taken} were acknowledged");
    assert!(
        refused.len() >= 2 * GROUP,
        "only {} were refused",
        refused.len()
    );
}

/// Of writes that wait together those that fail leave nothing, and those beside them are kept.
pub async fn of_writes_that_wait_together_those_that_fail_leave_nothing<St: Store>(store: &St) {
    let mut good = Vec::new();
    let mut fenced = Vec::new();
    let mut refusing = Vec::new();
    for n in 0..GROUP {
        good.push(Write::new(store, 100, n % 2 == 1).await);
        let late = Write::new(store, 100, n % 2 == 1).await;
        let (first, _) = append(
            &Plan::fold(
                late.next.id,
                &store.load(late.next.id).await.expect("it can be read"),
            ),
            super::succeeded(0),
        );
        fenced.push((late, first));
        refusing.push(Write::new(store, 100, true).await);
    }
    for (_, first) in &fenced {
        store
            .append(first.clone())
            .await
            .expect("its place is free");
    }

    let mut writes: Vec<crate::step::BoxFuture<'_, Result<(), String>>> = Vec::new();
    for ((good, (late, _)), refusing) in good.iter().zip(&fenced).zip(&refusing) {
        writes.push(Box::pin(async {
            good.make(store).await.map_err(|error| error.to_string())
        }));
        writes.push(Box::pin(async {
            match late.make(store).await {
                Err(StoreError::Fenced { .. }) => Err("fenced".into()),
                other => panic!("another row has its place: {other:?}"),
            }
        }));
        writes.push(Box::pin(async {
            let append = refusing.append.clone();
            let to = refusing.heir.id;
            let work = store.transact::<(), &str>(Box::new(move |tx| {
                Box::pin(async move {
                    St::append_in(tx, append).await.expect("its place is free");
                    let told = St::deliver_in(tx, to, message(), AT).await;
                    told.expect("the plan is there");
                    Err("changed my mind")
                })
            }));
            work.await.expect("the store works").map_err(str::to_owned)
        }));
    }
    let answers = together(store, writes).await;

    for (n, answer) in answers.iter().enumerate() {
        let expected = [
            Ok(()),
            Err("fenced".to_owned()),
            Err("changed my mind".to_owned()),
        ];
        assert_eq!(*answer, expected[n % 3], "write {n}");
    }
    for ((good, (late, first)), refusing) in good.iter().zip(&fenced).zip(&refusing) {
        assert!(good.is_there(store).await);
        assert!(!refusing.is_there(store).await);
        let rows = store.load(late.next.id).await.expect("it can be read");
        assert_eq!(rows[1..], *std::slice::from_ref(&first.row));
        let mail = store.mail(late.heir.id).await.expect("it can be read");
        assert_eq!(mail, [], "it goes with the row");
    }
    println!(
        "{} writes waited together: {GROUP} were kept, {GROUP} were fenced and {GROUP} refused by themselves",
        answers.len()
    );
}
