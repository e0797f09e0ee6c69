//! The search language, as all lists read it, down to what the database makes of it.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use engine::search::{Kind, Known, Search, SearchField, Sort};
use engine::store::{Page, Store, Visible};
use storage::Database;
use storage::catalog::audit::{self, Action, NewEntry, Outcome};
use storage::catalog::grants::Scope;
use storage::catalog::repositories::search as repositories;
use storage::journal::Journal;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{Check, text};

/// 2026-01-31T14:30:15.500Z.
const NOW: Timestamp = Timestamp(1_769_869_815_500);
const TASK: Uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);

pub(super) fn start() -> Check {
    let folder = tempfile::tempdir().expect("the system's temporary folder can be written");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has a thread's worth of everything");
    let database = runtime.block_on(async {
        let database = Database::open(&folder.path().join("searched.db")).await?;
        let written =
            database.transact(|tx| Box::pin(async { audit::record(tx, &entry(), NOW).await }));
        written.await?.map_err(Box::<dyn std::error::Error>::from)?;
        Ok::<_, Box<dyn std::error::Error>>(database)
    });
    let lists = Lists {
        database: database.expect("a new database takes an entry"),
        runtime,
        _folder: folder,
    };
    Box::new(move |input| lists.check(&text(input)))
}

struct Lists {
    database: Database,
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Lists {
    fn check(&self, text: &str) {
        let tasks = read::<engine::search::Field>(text);
        let repositories = read::<repositories::Field>(text);
        let audit = read::<audit::Field>(text);
        self.runtime.block_on(async {
            if let Some(search) = tasks {
                self.list_tasks(search).await;
            }
            if let Some(search) = repositories {
                self.list_repositories(search).await;
            }
            if let Some(search) = audit {
                self.list_audit(search).await;
            }
        });
    }

    async fn list_tasks(&self, search: Search) {
        let page = Page {
            sort: Sort::default(),
            after: None,
            limit: 5,
            visible: Visible::All,
        };
        let found = Journal::new(self.database.clone()).list(search, page).await;
        assert_eq!(found.expect("the database reads it").total, 0);
    }

    async fn list_repositories(&self, search: Search<repositories::Field>) {
        let everywhere = [Scope {
            organization: None,
            product: None,
            repository: None,
        }];
        let page = repositories::Page {
            sort: repositories::USUAL_ORDER,
            after: None,
            limit: 5,
            visible: &everywhere,
        };
        let mut tx = self.database.read().await.expect("there is a reader");
        let found = repositories::search(&mut tx, &search, &page).await;
        assert_eq!(found.expect("the database reads it").total, 0);
    }

    /// The database finds the only entry exactly if the language says that it fits.
    async fn list_audit(&self, search: Search<audit::Field>) {
        let mut tx = self.database.read().await.expect("there is a reader");
        let found = audit::list(&mut tx, &search, None, 5).await;
        let found = found.expect("the database reads it");
        assert_eq!(
            !found.is_empty(),
            search.fits(known_of_the_entry),
            "{search:?}"
        );
    }
}

fn entry() -> NewEntry {
    NewEntry {
        actor: "Ann_%".to_owned(),
        action: Action::Create,
        subject: "user bob".to_owned(),
        from: None,
        result: Outcome::Done,
        task: Some(PlanId(TASK)),
        reason: Some("a\\b É".to_owned()),
    }
}

fn known_of_the_entry(field: audit::Field) -> Known<'static> {
    use audit::Field;
    let entry = entry();
    match field {
        Field::At => Known::Number(Some(NOW.0)),
        Field::Actor => Known::text(Some(entry.actor)),
        Field::Action => Known::text(Some(entry.action.to_string())),
        Field::Subject => Known::text(Some(entry.subject)),
        Field::From => Known::text(entry.from),
        Field::Result => Known::text(Some(entry.result.to_string())),
        Field::Task => Known::Id(TASK),
        Field::Reason => Known::text(entry.reason),
    }
}

/// The search, if it can be read; a refusal is told within the text.
fn read<F: SearchField>(text: &str) -> Option<Search<F>> {
    let parsed = Search::<F>::parse(text, NOW);
    assert_eq!(parsed, Search::parse(text, NOW), "read again, the same");
    match parsed {
        Ok(search) => {
            negated(text, &search);
            Some(search)
        }
        Err(error) => {
            assert!(error.position <= text.chars().count(), "{error}");
            assert!(error.to_string().len() <= 2 * text.len() + 1024, "{error}");
            None
        }
    }
}

/// What is not what is looked for is what is left, whatever there is.
fn negated<F: SearchField>(text: &str, search: &Search<F>) {
    // One level deeper it may be too deep, or too long.
    if let Ok(negated) = Search::<F>::parse(&format!("not ({text})"), search.now) {
        for filled in [true, false] {
            let known = |field: F| sample(&field.kind(), filled);
            assert_ne!(search.fits(known), negated.fits(known), "{search:?}");
        }
    }
}

fn sample(kind: &Kind, filled: bool) -> Known<'static> {
    match kind {
        Kind::Text | Kind::Label => Known::text(filled.then_some("Acme/busybox")),
        Kind::State(words) | Kind::Word(words) => Known::text(words.first().cloned()),
        Kind::Time => Known::Number(filled.then_some(NOW.0)),
        Kind::Duration | Kind::Number | Kind::Size => Known::Number(filled.then_some(5_000)),
        Kind::Id => Known::Id(TASK),
    }
}
