//! The syncs of a proxy: one after the other, each begun by its main server and asked for by it until it has ended.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::clock::Clock;
use storage::catalog::CatalogError;
use storage::catalog::smart_proxies::contents::Place;
use storage::{Content, Database, mirror};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::upstream::{Unreachable, Upstream};
use super::wire::{Problem, State, Sync, Told};
use super::{fetch, tidy};
use crate::Node;

/// So many syncs are remembered after their end: who asks for an older one is told to begin it again, which is harmless.
const REMEMBERED: usize = 32;
/// Most syncs bring one small image, and end before they would be asked for again.
const A_MOMENT: Duration = Duration::from_millis(500);
/// How often the main server is asked what else it has to tell: what is not open any more is closed here within this time.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// A main server that does not know this proxy yet, or is not there yet, is asked again after this, then after twice as long each time:
/// a proxy that is started a moment before it is added serves a moment after.
const ASK_AGAIN_AT_FIRST: Duration = Duration::from_secs(1);

/// What a smart proxy does for its main server; clones share it.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    database: Database,
    content: Content,
    clock: Clock,
    upstream: Upstream,
    syncs: Mutex<Syncs>,
    /// There is one more.
    begun: Notify,
    /// One has ended.
    ended: watch::Sender<()>,
    told: watch::Sender<Option<Arc<Told>>>,
    /// Why the main server tells nothing.
    turned_away: Mutex<Option<String>>,
}

#[derive(Default)]
struct Syncs {
    waiting: VecDeque<Arc<Sync>>,
    known: VecDeque<Arc<Known>>,
}

/// A sync, and how far it is.
pub(super) struct Known {
    id: Uuid,
    state: Mutex<State>,
}

/// Why a proxy does not do its work now.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    /// The main server gave no answer.
    #[error(transparent)]
    Upstream(#[from] Unreachable),
    /// The catalog did not do its part.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The main server is not the one whose content is here.
    #[error(
        "this smart proxy holds content of another main server than the one that is at {url} now; start it with an empty data folder"
    )]
    AnotherMainServer {
        /// Where that is.
        url: String,
    },
}

impl Known {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> State {
        self.change(|state| state.clone())
    }
}

impl Mirror {
    /// A mirror of `upstream`, which begins with what that has told before.
    pub async fn open(
        database: Database,
        content: Content,
        clock: Clock,
        upstream: Upstream,
    ) -> Result<Self, CatalogError> {
        let told = mirror::told(&mut database.read().await?).await?;
        Ok(Self(Arc::new(Inner {
            database,
            content,
            clock,
            upstream,
            syncs: Mutex::default(),
            begun: Notify::new(),
            ended: watch::Sender::new(()),
            told: watch::Sender::new(told.map(Arc::new)),
            turned_away: Mutex::default(),
        })))
    }

    /// The main server.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(super) fn content(&self) -> &Content {
        &self.0.content
    }

    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// What the main server has told last; none: it has never answered.
    #[must_use]
    pub fn told(&self) -> Option<Arc<Told>> {
        self.0.told.borrow().clone()
    }

    /// Why the main server tells nothing, if it said so.
    #[must_use]
    pub fn turned_away(&self) -> Option<String> {
        let why = self.0.turned_away.lock();
        why.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sees each change of what the main server tells.
    #[must_use]
    pub fn watch_told(&self) -> watch::Receiver<Option<Arc<Told>>> {
        self.0.told.subscribe()
    }

    /// Begins a sync, unless it is under way or has brought all: the same again is the same.
    #[must_use]
    pub fn sync(&self, sync: Sync) -> State {
        let known = {
            let mut syncs = self.lock();
            let found = syncs
                .known
                .iter()
                .find(|known| known.id == sync.id)
                .cloned();
            let counts = |state: &State| {
                let is_whole =
                    state.error.is_none() && state.ends.iter().all(|end| end.error.is_none());
                !state.ended || is_whole
            };
            match found.filter(|known| counts(&known.state())) {
                Some(known) => known,
                None => syncs.begin(sync),
            }
        };
        self.0.begun.notify_one();
        known.state()
    }

    /// Begins a sync, and answers once it has ended; after a moment with how far it is.
    pub async fn sync_for_a_moment(&self, sync: Sync) -> State {
        let id = sync.id;
        let mut ended = self.0.ended.subscribe();
        let begun = self.sync(sync);
        if begun.ended {
            return begun;
        }
        let ends = async {
            while ended.changed().await.is_ok() {
                match self.state(id) {
                    Some(state) if !state.ended => {}
                    state => return state,
                }
            }
            None
        };
        match tokio::time::timeout(A_MOMENT, ends).await {
            Ok(Some(state)) => state,
            Ok(None) | Err(_) => self.state(id).unwrap_or(begun),
        }
    }

    /// How far it is; none: it is not known here.
    #[must_use]
    pub fn state(&self, id: Uuid) -> Option<State> {
        let syncs = self.lock();
        let found = syncs.known.iter().find(|known| known.id == id);
        found.map(|known| known.state())
    }

    /// Does what the main server asks for, until `stop` fires. What is under way then is begun again after the next start.
    pub async fn run(self, node: Node, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled_owned() => {}
            () = self.work(&node) => {}
        }
    }

    async fn work(&self, node: &Node) {
        tidy::after_a_restart(self, node).await;
        self.drop_unassigned(node).await;
        let mut wait = ASK_AGAIN_AT_FIRST;
        loop {
            while let Some((sync, known)) = self.next() {
                let mut removed = false;
                let brought = tokio::select! {
                    brought = fetch::bring_all(self, node, &sync, &known, &mut removed) => brought,
                    never = self.keep_asking() => match never {},
                };
                if let Err(problem) = &brought {
                    tracing::warn!(sync.id = %sync.id, "a sync did not bring all: {}", problem.message);
                }
                known.change(|state| {
                    state.error = brought.err();
                    state.ended = true;
                });
                self.0.ended.send_replace(());
                if removed {
                    tidy::collect(node).await;
                }
            }
            wait = match self.told() {
                Some(_) => ASK_AGAIN,
                None => wait.min(ASK_AGAIN),
            };
            tokio::select! {
                () = self.0.begun.notified() => {}
                () = tokio::time::sleep(wait) => {
                    self.drop_unassigned(node).await;
                    wait *= 2;
                }
            }
        }
    }

    fn next(&self) -> Option<(Arc<Sync>, Arc<Known>)> {
        let mut syncs = self.lock();
        let sync = syncs.waiting.pop_front()?;
        let known = syncs.known.iter().rev().find(|known| known.id == sync.id);
        Some((sync.clone(), known?.clone()))
    }

    /// While a long sync is at work.
    async fn keep_asking(&self) -> Infallible {
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            if let Err(error) = self.ask().await {
                tracing::debug!("{error}; what it told last counts on");
            }
        }
    }

    /// Between two syncs: one that is at work may just bring what has been assigned since.
    async fn drop_unassigned(&self, node: &Node) {
        let dropped = async {
            let told = self.ask().await?;
            fetch::drop_unassigned(self, &told).await
        };
        match dropped.await {
            Ok(true) => tidy::collect(node).await,
            Ok(false) => {}
            Err(error) => tracing::debug!("{error}; what it told last counts on"),
        }
    }

    /// Asks the main server what it has to tell besides content, and keeps it.
    pub async fn ask(&self) -> Result<Arc<Told>, NotNow> {
        let told = self.ask_the_same().await;
        if let Err(
            error @ (NotNow::Upstream(Unreachable::Stranger { .. })
            | NotNow::AnotherMainServer { .. }),
        ) = &told
        {
            self.close(error).await?;
        }
        told
    }

    async fn ask_the_same(&self) -> Result<Arc<Told>, NotNow> {
        let told = Arc::new(self.0.upstream.told().await?);
        let known = {
            let mut tx = self.0.database.read().await.map_err(CatalogError::from)?;
            mirror::main_server(&mut tx).await?
        };
        if known.is_some_and(|known| known != told.main_server) {
            let url = self.0.upstream.url().to_owned();
            return Err(NotNow::AnotherMainServer { url });
        }
        if self.told().as_ref() == Some(&told) {
            return Ok(told);
        }
        let kept = told.clone();
        let written = self.0.database.transact(move |tx| {
            Box::pin(async move {
                mirror::tell(tx, kept.main_server, &*kept).await?;
                mirror::set_open(tx, &kept.open_products, &kept.open_environments).await
            })
        });
        written.await.map_err(CatalogError::from)??;
        self.0.told.send_replace(Some(told.clone()));
        Ok(told)
    }

    /// Holds it no more. True: it did.
    pub(super) async fn remove(&self, place: Place) -> Result<bool, CatalogError> {
        let at = self.0.clock.now();
        let removed = self
            .0
            .database
            .transact(move |tx| Box::pin(async move { mirror::remove(tx, place, at).await }));
        removed.await?
    }

    /// The main server does not count this proxy as its own any more: nothing is open to anybody here until it does.
    async fn close(&self, why: &NotNow) -> Result<(), CatalogError> {
        *self
            .0
            .turned_away
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
        if self.told().is_none() {
            return Ok(());
        }
        let closed = self.0.database.transact(|tx| {
            Box::pin(async move {
                mirror::untell(tx).await?;
                mirror::set_open(tx, &[], &[]).await
            })
        });
        closed.await??;
        self.0.told.send_replace(None);
        tracing::warn!("{why}; nothing is served until then");
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Syncs> {
        self.0.syncs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Syncs {
    fn begin(&mut self, sync: Sync) -> Arc<Known> {
        self.known.retain(|known| known.id != sync.id);
        while self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        let state = State {
            id: sync.id,
            ended: false,
            ends: Vec::new(),
            progress: crate::proxy::Progress::default(),
            error: None,
        };
        let known = Arc::new(Known {
            id: sync.id,
            state: Mutex::new(state),
        });
        self.known.push_back(known.clone());
        self.waiting.push_back(Arc::new(sync));
        known
    }
}

impl From<NotNow> for Problem {
    fn from(error: NotNow) -> Self {
        Self {
            message: error.to_string(),
        }
    }
}
