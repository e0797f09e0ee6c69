//! Every journal folds, and what is kept beside it agrees.

use engine::journal::PlanId;
use engine::plan::Plan;
use engine::search::{Field, Search};
use engine::state::PlanState;
use engine::store::{Page, Store};
use storage::Database;
use storage::journal::Journal;

use super::{DoctorError, Examination};

/// Plans read at once.
const AT_ONCE: u32 = 200;
/// A plan that a running server moves between two of our looks is looked at again; this often, then it is a finding.
const LOOKS: u32 = 3;

const RESTORE: &str =
    "restore the database from a backup, and report this: no version of wharfinger writes it";
const RESTART: &str = "restart the server: it reads its mailboxes and locks anew";

pub(super) async fn examine(
    database: &Database,
    whole: &mut Examination,
) -> Result<(), DoctorError> {
    let store = Journal::new(database.clone());
    let mut before = None;
    let (mut plans, mut rows) = (0, 0);
    loop {
        let page = Page {
            before,
            limit: AT_ONCE,
            ..Page::default()
        };
        let listing = store.list(Search::default(), page).await?;
        for plan in &listing.plans {
            plans += 1;
            rows += examine_plan(&store, *plan, whole).await?;
        }
        before = listing.plans.last().copied();
        if !listing.more {
            break;
        }
    }
    whole
        .looked_at
        .extend([(plans, "tasks"), (rows, "journal rows")]);
    Ok(())
}

/// Looks at one plan until nothing is wrong with it, or it is wrong for good; returns how many rows it has.
async fn examine_plan(
    store: &Journal,
    id: PlanId,
    whole: &mut Examination,
) -> Result<u64, DoctorError> {
    let mut look = look(store, id).await?;
    for _ in 1..LOOKS {
        if look.wrong.is_empty() {
            break;
        }
        look = self::look(store, id).await?;
    }
    for (what, remedy) in look.wrong {
        whole.find(format!("task {id}: {what}"), remedy);
    }
    Ok(look.rows)
}

/// What one look at a plan has shown.
struct Look {
    rows: u64,
    wrong: Vec<(String, &'static str)>,
}

async fn look(store: &Journal, id: PlanId) -> Result<Look, DoctorError> {
    let rows = store.load(id).await?;
    let plan = Plan::fold(id, &rows);
    let mut wrong = Vec::new();
    // A fold refuses gaps, moves that no table has, and a second success of a step.
    if let Some(why) = &plan.unreadable {
        wrong.push((format!("its journal does not fold: {why}"), RESTORE));
    }
    for field in [Field::State, Field::Result, Field::Reason] {
        let told = told_by_journal(&plan, field);
        if !row_says(store, id, field, told.as_deref()).await? {
            let told = told.unwrap_or_else(|| "none".to_owned());
            wrong.push((
                format!(
                    "its journal says {field} = {told}, its row in the list of tasks says otherwise"
                ),
                RESTORE,
            ));
        }
    }
    if plan.state == PlanState::Stopped {
        if !store.seats(id).await?.is_empty() {
            wrong.push((
                "it has stopped and still stands in the queue of a lock".to_owned(),
                RESTART,
            ));
        }
        if !store.mail(id).await?.is_empty() {
            wrong.push((
                "it has stopped and still has unread messages".to_owned(),
                RESTART,
            ));
        }
    }
    Ok(Look {
        rows: rows.len() as u64,
        wrong,
    })
}

fn told_by_journal(plan: &Plan, field: Field) -> Option<String> {
    match field {
        Field::State => Some(plan.state.to_string()),
        Field::Result => Some(plan.result.to_string()),
        Field::Reason => plan.reason.map(|reason| reason.to_string()),
        Field::Id
        | Field::Label
        | Field::User
        | Field::Organization
        | Field::Repository
        | Field::Tag
        | Field::Digest => None,
    }
}

/// Asks the list of tasks, as people do, whether it shows this plan with this value.
async fn row_says(
    store: &Journal,
    id: PlanId,
    field: Field,
    value: Option<&str>,
) -> Result<bool, DoctorError> {
    let Some(value) = value else { return Ok(true) };
    let search = Search {
        terms: vec![(Field::Id, id.to_string()), (field, value.to_owned())],
    };
    let found = store
        .list(
            search,
            Page {
                limit: 1,
                ..Page::default()
            },
        )
        .await?;
    Ok(found.plans == [id])
}
