//! Products and organizations are deleted with their repositories, and brought back with them.

use crate::after_a_push::audited;
use crate::house::{FOR_EVER, House, HouseNode, of_a_house};
use crate::keeps::keeps;
use engine::clock::Clock;
use engine::journal::{self, Message, PlanId, PlanResult};
use engine::node::{Drill, Effect, Node};
use engine::plan::Plan;
use engine::prove::laws::World;
use engine::state::PlanState;
use engine::step::BoxFuture;
use engine::store::Store;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::catalog::audit::Action;
use storage::catalog::environments;
use storage::catalog::grants::{self, Filter, Scope};
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::products::{self, NewProduct};
use storage::catalog::robots;
use storage::catalog::roles::Role;
use storage::{Label, Tx, garbage};
use workflows::Services;
use workflows::cleanup::Cleanup;
use workflows::delete_organization::DeleteOrganization;
use workflows::delete_product::DeleteProduct;
use workflows::delete_repository::InTheWay;
use workflows::delete_together::{self, DeleteTogetherError, DeletesTogether};
use workflows::destination::Destination;
use workflows::published_names;

const ONE: &str = "acme/tools/busybox";
const OTHER: &str = "acme/tools/deep/alpine";
const BESIDE: &str = "acme/shelf/busybox";

impl House {
    pub(crate) async fn product_delete(&self, label: &str) -> DeleteProduct {
        let mut tx = self.services.database.read().await.unwrap();
        let acme = organizations::find(&mut tx, "acme").await.unwrap().unwrap();
        let product = products::find(&mut tx, acme.id, label).await.unwrap();
        let product = product.unwrap();
        let delete = DeleteProduct::find(&mut tx, &self.user, &acme, &product).await;
        delete.unwrap()
    }

    async fn organization_delete(&self) -> DeleteOrganization {
        let mut tx = self.services.database.read().await.unwrap();
        let acme = organizations::find(&mut tx, "acme").await.unwrap().unwrap();
        let delete = DeleteOrganization::find(&mut tx, &self.user, &acme).await;
        delete.unwrap()
    }

    pub(crate) async fn delete_all_of<W: DeletesTogether, St: Store<Tx = Tx>>(
        &self,
        node: &Node<Services, St>,
        delete: &W,
    ) -> Result<PlanId, DeleteTogetherError> {
        let audited = audited(Action::Delete);
        delete_together::submit(node, delete.clone(), &self.user, audited).await
    }

    async fn product_is_there(&self, label: &str) -> bool {
        let mut tx = self.services.database.read().await.unwrap();
        let acme = organizations::find(&mut tx, "acme").await.unwrap();
        let Some(acme) = acme else { return false };
        let found = products::find(&mut tx, acme.id, label).await.unwrap();
        found.is_some()
    }
}

/// Two repositories of the product `tools`, of which an environment publishes one, and one of another product.
struct Shelves {
    house: House,
    one: Destination,
    other: Destination,
    beside: Destination,
}

impl Shelves {
    async fn new() -> Self {
        let house = House::new().await;
        let node = house.node(None).await;
        let one = house.destination(ONE).await;
        house.published(&node, &one, "latest", "first").await;
        house.published(&node, &one, "next", "second").await;
        let other = house.destination(OTHER).await;
        house.published(&node, &other, "latest", "third").await;
        let beside = house.destination(BESIDE).await;
        house.published(&node, &beside, "latest", "fourth").await;
        let library = house.library(&one).await;
        let dev = house.environment("dev", &library).await;
        let promoted = house.promote(&node, &one, 1, &dev).await.unwrap();
        node.wait(promoted, FOR_EVER).await.unwrap();
        node.drain(FOR_EVER).await;
        Self {
            house,
            one,
            other,
            beside,
        }
    }

    /// What is there to see, by which name, and of which organization.
    async fn picture(&self) -> String {
        let house = &self.house;
        let mut picture = String::new();
        for (name, of) in [
            (ONE, &self.one),
            (OTHER, &self.other),
            (BESIDE, &self.beside),
        ] {
            let leads_there = self.organization_is_there().await
                && house.destination_of(name).await == Some(of.id);
            let latest = house.pulled(of, "latest").await;
            let all = house.picture(of).await;
            writeln!(picture, "{name}: {leads_there} {latest:?}\n{all}").unwrap();
        }
        let mut tx = house.services.database.read().await.unwrap();
        let names = storage::catalog::repository_names::list(&mut tx, "", 100).await;
        let products = products::list(&mut tx, self.one.organization, None, 100).await;
        let products: Vec<String> = products.unwrap().into_iter().map(|it| it.label).collect();
        let grants = grants::count(&mut tx, Filter::default()).await.unwrap();
        picture + &format!("{:?} {products:?} {grants}", names.unwrap())
    }

    async fn organization_is_there(&self) -> bool {
        let mut tx = self.house.services.database.read().await.unwrap();
        let acme = organizations::find(&mut tx, "acme").await.unwrap();
        acme.is_some()
    }
}

async fn end(node: &HouseNode, plan: PlanId) -> PlanResult {
    node.wait(plan, FOR_EVER).await.unwrap().result
}

async fn act(node: &HouseNode, plan: PlanId, action: journal::Action) -> Arc<Plan> {
    let message = Message {
        action,
        by: "alice".into(),
        reason: None,
    };
    node.act(plan, message).await.unwrap();
    node.wait(plan, FOR_EVER).await.unwrap()
}

#[tokio::test]
async fn a_deleted_product_is_gone_at_once_and_comes_back_as_it_was() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let before = shelves.picture().await;
    let delete = house.product_delete("tools").await;
    assert_eq!(delete.together.repositories.len(), 2);

    let task = house.delete_all_of(&node, &delete).await.unwrap();

    assert_eq!(house.destination_of(ONE).await, None);
    assert_eq!(house.destination_of(OTHER).await, None);
    assert_eq!(house.destination_of(BESIDE).await, Some(shelves.beside.id));
    assert_eq!(end(&node, task).await, PlanResult::Success);
    assert!(!house.product_is_there("tools").await);
    let sub_tasks = house.journal().children(task).await.unwrap();
    assert_eq!(sub_tasks.iter().map(|it| it.plans).sum::<u64>(), 2);
    let reverted = act(&node, task, journal::Action::Revert).await;
    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
    assert_eq!(shelves.picture().await, before);
}

#[tokio::test]
async fn a_deleted_organization_is_gone_with_its_robots_and_comes_back_as_it_was() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let at = house.services.clock.now();
    let organization = shelves.one.organization;
    let robot = house
        .write(move |tx| {
            Box::pin(async move {
                let acme = organizations::get(tx, organization).await?.unwrap();
                robots::create(tx, &acme, "ci", [7; 32], at).await
            })
        })
        .await;
    let before = shelves.picture().await;
    let can_log_in = async || {
        let mut tx = house.services.database.read().await.unwrap();
        let user = storage::catalog::users::get(&mut tx, robot.id).await;
        user.unwrap().unwrap().enabled
    };

    let delete = house.organization_delete().await;
    let task = house.delete_all_of(&node, &delete).await.unwrap();

    assert_eq!(end(&node, task).await, PlanResult::Success);
    assert!(!shelves.organization_is_there().await);
    assert!(!can_log_in().await);
    let reverted = act(&node, task, journal::Action::Revert).await;
    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
    assert_eq!(shelves.picture().await, before);
    assert!(can_log_in().await);
}

#[tokio::test]
async fn roles_in_what_was_deleted_are_not_listed_until_it_is_back() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let delete = house.product_delete("tools").await;
    let (organization, product) = (delete.organization, delete.product);
    let (user, at) = (house.user.id, house.services.clock.now());
    let grant = house
        .write(move |tx| {
            Box::pin(async move {
                let scope = Scope {
                    organization: Some(organization),
                    product: Some(product),
                    repository: None,
                };
                grants::create(tx, user, Role::Reader, scope, at).await
            })
        })
        .await;
    let listed = async || {
        let mut tx = house.services.database.read().await.unwrap();
        let all = grants::list(&mut tx, Filter::default(), None, 100).await;
        let found = grants::get(&mut tx, grant.id).await.unwrap();
        let is_listed = all.unwrap().iter().any(|it| it.id == grant.id);
        assert_eq!(found.is_some(), is_listed);
        is_listed
    };
    assert!(listed().await);

    let task = house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, task).await;

    assert!(!listed().await);
    act(&node, task, journal::Action::Revert).await;
    assert!(listed().await);
}

/// Lets one step of one kind of plan fail, as long as it is armed.
struct Fails {
    workflow: &'static str,
    step: &'static str,
    /// Of whose repository; none: of every one.
    repository: Option<&'static str>,
    armed: AtomicBool,
}

impl Fails {
    fn at(workflow: &'static str, step: &'static str, repository: Option<&'static str>) -> Self {
        Self {
            workflow,
            step,
            repository,
            armed: AtomicBool::new(true),
        }
    }
}

impl Drill for Fails {
    fn before<'a>(&'a self, plan: &'a Plan, step: &'a str) -> BoxFuture<'a, Option<Effect>> {
        let is_there = self
            .repository
            .is_none_or(|name| plan.link("repository") == Some(name));
        let fails = plan.workflow() == self.workflow && step == self.step && is_there;
        let fails = fails && self.armed.load(Ordering::SeqCst);
        Box::pin(async move { fails.then_some(Effect::Fail) })
    }
}

#[tokio::test]
async fn a_product_that_is_pushed_to_while_it_is_deleted_stays_with_what_was_pushed() {
    let shelves = Shelves::new().await;
    let house = &shelves.house;
    let fails = Arc::new(Fails::at("delete_product", "remove_product", None));
    let node = house.node(Some(fails.clone())).await;
    let delete = house.product_delete("tools").await;
    let task = house.delete_all_of(&node, &delete).await.unwrap();
    assert_eq!(
        node.wait(task, FOR_EVER).await.unwrap().state,
        PlanState::Paused
    );

    let new = house.destination(ONE).await;
    let pushed = house.published(&node, &new, "latest", "fifth").await;
    let again = house.delete_all_of(&node, &delete).await;
    let again = again.unwrap_err().to_string();
    fails.armed.store(false, Ordering::SeqCst);
    let done = act(&node, task, journal::Action::Resume).await;

    assert_ne!(new.id, shelves.one.id);
    assert!(again.contains(&task.to_string()), "{again}");
    assert_eq!(done.result, PlanResult::Warning, "{done:?}");
    assert!(house.product_is_there("tools").await);
    assert_eq!(house.pulled(&new, "latest").await, Some(pushed));
    assert_eq!(house.pulled(&shelves.other, "latest").await, None);
    let mut tx = house.services.database.read().await.unwrap();
    let taken = delete.in_the_way(&mut tx, false).await.unwrap();
    assert!(
        matches!(&taken, Some(InTheWay::Name { destination, .. }) if *destination == new.id),
        "{taken:?}"
    );
}

#[tokio::test]
async fn nothing_of_an_organization_is_deleted_besides_while_all_of_it_is() {
    let shelves = Shelves::new().await;
    let house = &shelves.house;
    let fails = Fails::at("delete_organization", "remove_organization", None);
    let node = house.node(Some(Arc::new(fails))).await;
    let all = house.organization_delete().await;
    let task = house.delete_all_of(&node, &all).await.unwrap();
    assert_eq!(
        node.wait(task, FOR_EVER).await.unwrap().state,
        PlanState::Paused
    );
    let product = house.product_delete("shelf").await;

    let refused = house.delete_all_of(&node, &product).await.unwrap_err();

    assert!(refused.to_string().contains(&task.to_string()), "{refused}");
    assert!(house.product_is_there("shelf").await);
    let reverted = act(&node, task, journal::Action::Revert).await;
    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
}

#[tokio::test]
async fn a_delete_of_a_product_that_stops_half_way_is_reverted_as_a_whole() {
    let shelves = Shelves::new().await;
    let house = &shelves.house;
    let before = shelves.picture().await;
    let broken = Fails::at("delete_repository", "remove_push_repository", Some(OTHER));
    let node = house.node(Some(Arc::new(broken))).await;
    let delete = house.product_delete("tools").await;
    let task = house.delete_all_of(&node, &delete).await.unwrap();
    let mut seen = house.journal().children(task).await.unwrap();
    while !(seen.iter().any(|it| it.state == PlanState::Paused)
        && seen.iter().any(|it| it.state == PlanState::Stopped))
    {
        tokio::task::yield_now().await;
        seen = house.journal().children(task).await.unwrap();
    }

    let reverted = act(&node, task, journal::Action::Revert).await;

    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
    assert_eq!(shelves.picture().await, before);
}

#[tokio::test]
async fn a_repository_comes_back_only_with_the_product_that_was_deleted_after_it() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let before = shelves.picture().await;
    let first = house.delete_repository(&node, &shelves.one).await.unwrap();
    end(&node, first).await;
    let delete = house.product_delete("tools").await;
    assert_eq!(delete.together.repositories.len(), 1);
    let second = house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, second).await;

    let early = act(&node, first, journal::Action::Revert).await;
    let why = format!("{early:?}");

    assert_eq!(early.state, PlanState::Paused);
    assert!(why.contains("revert the delete of the product"), "{why}");
    let product = act(&node, second, journal::Action::Revert).await;
    assert_eq!(product.result, PlanResult::Reverted, "{product:?}");
    let repository = act(&node, first, journal::Action::Resume).await;
    assert_eq!(repository.result, PlanResult::Reverted, "{repository:?}");
    assert_eq!(shelves.picture().await, before);
}

#[tokio::test]
async fn a_label_that_is_taken_meanwhile_stands_in_the_way_until_it_is_free() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let before = shelves.picture().await;
    let delete = house.product_delete("tools").await;
    let task = house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, task).await;
    let (organization, at) = (delete.organization, house.services.clock.now());
    house
        .write(move |tx| {
            Box::pin(async move {
                let new = NewProduct {
                    label: Label::parse("Tools").unwrap(),
                    name: "Another".into(),
                };
                products::create(tx, organization, &new, at).await
            })
        })
        .await;
    let taken = async || {
        let mut tx = house.services.database.read().await.unwrap();
        delete.in_the_way(&mut tx, true).await.unwrap()
    };

    assert!(matches!(
        taken().await,
        Some(InTheWay::Label { what, .. }) if what == "a product"
    ));
    let paused = act(&node, task, journal::Action::Revert).await;
    assert_eq!(paused.state, PlanState::Paused);
    let new = house.product_delete("tools").await;
    let gone = house.delete_all_of(&node, &new).await.unwrap();
    assert_eq!(end(&node, gone).await, PlanResult::Success);
    assert_eq!(taken().await, None);
    let reverted = act(&node, task, journal::Action::Resume).await;

    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
    assert_eq!(shelves.picture().await, before);
}

#[tokio::test]
async fn nobody_else_gets_the_label_or_the_names_of_a_deleted_organization() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    let delete = house.organization_delete().await;
    let task = house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, task).await;
    let (database, at) = (&house.services.database, house.services.clock.now());
    let made = async |label: &'static str| {
        let made = database.transact(move |tx| {
            Box::pin(async move {
                let new = NewOrganization {
                    label: Label::parse(label).unwrap(),
                    name: "Another".into(),
                };
                organizations::create(tx, &new, at).await
            })
        });
        made.await.unwrap()
    };

    let same = made("Acme").await.unwrap_err().to_string();
    let evil = made("evil").await.unwrap();

    assert!(same.contains("a deleted organization `Acme`"), "{same}");
    let mut tx = database.read().await.unwrap();
    let buried = organizations::find(&mut tx, "acme").await.unwrap();
    let odd = organizations::find(&mut tx, &format!("acme@{}", delete.organization)).await;
    assert_eq!((buried, odd.unwrap()), (None, None));
    let library = environments::library(&mut tx, evil.id).await.unwrap();
    let pattern = Some("acme/tools/<%= repository.name %>".to_owned());
    let then = environments::Environment {
        registry_name_pattern: pattern,
        ..library
    };
    drop(tx);
    let to = house.destination("evil/tools/busybox").await;
    let (user, scope) = (house.user.id, evil.id);
    house
        .write(move |tx| {
            Box::pin(async move {
                let scope = Scope {
                    organization: Some(scope),
                    ..Scope::default()
                };
                grants::create(tx, user, Role::Publisher, scope, at).await
            })
        })
        .await;
    house.published(&node, &to, "latest", "first").await;
    let mut tx = database.read().await.unwrap();
    let preview = published_names::preview(&mut tx, &then).await.unwrap();
    assert_eq!(preview.collisions.len(), 1);
    let clash = format!("{:?}", preview.collisions[0]);
    assert!(clash.contains("another organization"), "{clash}");
}

/// Whatever stands still in between: the time for a revert is counted for all from the end of the last.
#[tokio::test]
async fn nothing_of_a_product_is_collected_before_the_time_for_its_revert_is_over() {
    let mut shelves = Shelves::new().await;
    let fails = Arc::new(Fails::at("delete_product", "remove_product", None));
    let node = shelves.house.node(Some(fails.clone())).await;
    let delete = shelves.house.product_delete("tools").await;
    let task = shelves.house.delete_all_of(&node, &delete).await.unwrap();
    assert_eq!(
        node.wait(task, FOR_EVER).await.unwrap().state,
        PlanState::Paused
    );
    node.drain(FOR_EVER).await;
    let later = Clock::system().now() + Duration::from_hours(24 * 8);
    shelves.house.services.clock = Clock::of_runtime(later);
    let node = shelves.house.node(None).await;
    let cleaned = async |node: &HouseNode| {
        let id = node
            .submit(&Cleanup { dry_run: false }, None)
            .await
            .unwrap();
        let plan = node.wait(id, FOR_EVER).await.unwrap();
        let told: serde_json::Value = plan.output_of("collect_deleted").unwrap().decode().unwrap();
        told["repositories"].as_u64().unwrap()
    };

    let while_it_stands = cleaned(&node).await;
    let done = act(&node, task, journal::Action::Resume).await;
    let soon_after = cleaned(&node).await;
    let reverted = act(&node, task, journal::Action::Revert).await;

    assert_eq!(done.result, PlanResult::Success, "{done:?}");
    assert_eq!((while_it_stands, soon_after), (0, 0));
    assert_eq!(reverted.result, PlanResult::Reverted, "{reverted:?}");
    let pulled = shelves.house.pulled(&shelves.other, "latest").await;
    assert!(pulled.is_some());
}

#[tokio::test]
async fn what_stood_aside_for_a_product_that_was_deleted_again_says_what_comes_first() {
    let shelves = Shelves::new().await;
    let house = &shelves.house;
    let fails = Arc::new(Fails::at("delete_product", "remove_product", None));
    let node = house.node(Some(fails.clone())).await;
    let delete = house.product_delete("tools").await;
    let first = house.delete_all_of(&node, &delete).await.unwrap();
    node.wait(first, FOR_EVER).await.unwrap();
    let new = house.destination(ONE).await;
    house.published(&node, &new, "latest", "fifth").await;
    fails.armed.store(false, Ordering::SeqCst);
    let stayed = act(&node, first, journal::Action::Resume).await;
    assert_eq!(stayed.result, PlanResult::Warning, "{stayed:?}");
    let again = house.product_delete("tools").await;
    let second = house.delete_all_of(&node, &again).await.unwrap();
    assert_eq!(end(&node, second).await, PlanResult::Success);

    let mut tx = house.services.database.read().await.unwrap();
    let taken = delete.in_the_way(&mut tx, false).await.unwrap();

    assert!(matches!(taken, Some(InTheWay::Product { .. })), "{taken:?}");
}

#[tokio::test]
async fn a_deleted_product_is_collected_with_the_last_of_its_repositories() {
    let mut shelves = Shelves::new().await;
    let node = shelves.house.node(None).await;
    let delete = shelves.house.product_delete("tools").await;
    let task = shelves.house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, task).await;
    node.drain(FOR_EVER).await;
    shelves.house.services.clock =
        Clock::of_runtime(Clock::system().now() + Duration::from_hours(24 * 8));
    let house = &shelves.house;
    let node = house.node(None).await;
    let told = async |dry_run| {
        let id = node.submit(&Cleanup { dry_run }, None).await.unwrap();
        let plan = node.wait(id, FOR_EVER).await.unwrap();
        let told: serde_json::Value = plan.output_of("collect_deleted").unwrap().decode().unwrap();
        (told["products"].clone(), told["repositories"].clone())
    };

    let would = told(true).await;
    let did = told(false).await;
    let again = told(false).await;

    assert_eq!(did, (1.into(), 2.into()));
    assert_eq!((would, again), (did, (0.into(), 0.into())));
    let (expiry, now) = (Duration::from_hours(24), house.services.clock.now());
    let left = house
        .write(move |tx| {
            Box::pin(async move {
                let rules = garbage::Rules::read(tx, expiry, now).await?;
                garbage::products::collect(tx, &rules).await
            })
        })
        .await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn roles_in_a_deleted_organization_go_with_the_last_of_its_repositories() {
    let mut shelves = Shelves::new().await;
    let node = shelves.house.node(None).await;
    let delete = shelves.house.organization_delete().await;
    let task = shelves.house.delete_all_of(&node, &delete).await.unwrap();
    end(&node, task).await;
    let roles = async |house: &House| {
        let mut tx = house.services.database.read().await.unwrap();
        grants::of(&mut tx, house.user.id).await.unwrap().len()
    };
    let kept = roles(&shelves.house).await;
    node.drain(FOR_EVER).await;
    let later = Clock::system().now() + Duration::from_hours(24 * 8);
    shelves.house.services.clock = Clock::of_runtime(later);
    let node = shelves.house.node(None).await;

    let id = node
        .submit(&Cleanup { dry_run: false }, None)
        .await
        .unwrap();
    assert_eq!(end(&node, id).await, PlanResult::Success);

    assert_eq!((kept, roles(&shelves.house).await), (1, 0));
}

#[tokio::test]
async fn too_many_repositories_are_refused_before_anything_is_written() {
    let shelves = Shelves::new().await;
    let (house, node) = (&shelves.house, shelves.house.node(None).await);
    house
        .many_published(&shelves.one, delete_together::MOST_REPOSITORIES)
        .await;
    let delete = house.product_delete("tools").await;

    let refused = house.delete_all_of(&node, &delete).await.unwrap_err();

    assert!(refused.to_string().contains("1002"), "{refused}");
    assert_eq!(house.destination_of(ONE).await, Some(shelves.one.id));
}

/// A product that is about to be deleted.
struct OfProduct(Shelves);

impl std::ops::Deref for OfProduct {
    type Target = Shelves;

    fn deref(&self) -> &Shelves {
        &self.0
    }
}

impl World for OfProduct {
    of_a_house!();

    async fn fresh() -> Self {
        Self(Shelves::new().await)
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let delete = self.house.product_delete("tools").await;
        self.house.delete_all_of(node, &delete).await.unwrap()
    }

    async fn picture(&self) -> String {
        self.0.picture().await
    }
}

/// An organization that is about to be deleted.
struct OfOrganization(Shelves);

impl std::ops::Deref for OfOrganization {
    type Target = Shelves;

    fn deref(&self) -> &Shelves {
        &self.0
    }
}

impl World for OfOrganization {
    of_a_house!();

    async fn fresh() -> Self {
        Self(Shelves::new().await)
    }

    async fn submit<St: Store<Tx = Tx>>(&self, node: &Node<Services, St>) -> PlanId {
        let delete = self.house.organization_delete().await;
        self.house.delete_all_of(node, &delete).await.unwrap()
    }

    async fn picture(&self) -> String {
        self.0.picture().await
    }
}

keeps! { delete_product: OfProduct;
    a_delete_of_a_product_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 4 40 0 2 2;
    a_delete_of_a_product_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 4 60 0 10 0;
    a_delete_of_a_product_that_crashes_at_any_append_ends_the_same:
        crash_before_and_after_each_append does at least 20 250 0 20 0;
    a_delete_of_a_product_that_is_reverted_at_any_step_leaves_everything_as_it_was:
        revert_at_each_step does at least 5 40 20 2 4;
    a_finished_delete_of_a_product_that_is_reverted_leaves_everything_as_it_was:
        revert_when_finished does at least 2 30 10 0 1;
    a_delete_of_a_product_whose_steps_are_undone_twice_leaves_everything_as_it_was:
        undo_each_step_twice does at least 3 36 30 8 3;
    a_delete_of_a_product_that_cannot_be_undone_goes_on_when_mended:
        fail_to_undo_each_step does at least 3 36 20 2 4;
    a_delete_of_a_product_that_crashes_at_any_append_of_its_revert_leaves_everything_as_it_was:
        crash_before_and_after_each_append_while_reverting does at least 20 240 200 20 20;
    a_delete_of_a_product_that_is_held_at_any_step_ends_the_same:
        hold_at_each_step does at least 4 40 0 0 3;
}

keeps! { delete_organization: OfOrganization;
    a_delete_of_an_organization_that_fails_at_any_step_is_mended_and_ends_the_same:
        fail_at_each_step does at least 4 60 0 2 2;
    a_delete_of_an_organization_whose_steps_run_twice_ends_the_same:
        run_each_step_twice does at least 4 80 0 12 0;
    a_delete_of_an_organization_that_is_reverted_at_any_step_leaves_everything_as_it_was:
        revert_at_each_step does at least 5 60 30 2 4;
    a_finished_delete_of_an_organization_that_is_reverted_leaves_everything_as_it_was:
        revert_when_finished does at least 2 40 14 0 1;
    a_delete_of_an_organization_that_crashes_at_any_append_of_its_revert_leaves_everything_as_it_was:
        crash_before_and_after_each_append_while_reverting does at least 25 400 350 25 25;
}
