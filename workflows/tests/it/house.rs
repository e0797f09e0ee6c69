//! A house to push into: a database, content, an organization, a user who may push.

use bytes::Bytes;
use engine::clock::Clock;
use engine::journal::{NodeId, PlanId};
use engine::node::{Drill, Node, NodeOptions};
use engine::store::Store;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use storage::catalog::grants::{self, Scope};
use storage::catalog::manifests::Manifest;
use storage::catalog::organizations::{self, NewOrganization};
use storage::catalog::roles::Role;
use storage::catalog::sizes::Sizes;
use storage::catalog::users::{self, NewUser, User};
use storage::catalog::{
    CatalogError, RepositoryId, instance, products, publications, repositories, versions,
};
use storage::content::pulp::{Login, PulpOptions};
use storage::database::BoxFuture;
use storage::journal::Journal;
use storage::{Content, Database, Digest, Label, Tag, Tx, filling};
use tempfile::TempDir;
use uuid::Uuid;
use workflows::Services;
use workflows::destination::{self, Destination, PushName, ResolveError};
use workflows::outbound::{Outbound, Targets};
use workflows::push::{self, Client, NewPush, PushError, Submitted};

pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const FOR_EVER: Duration = Duration::from_mins(1);

pub(crate) struct House {
    folder: TempDir,
    pub(crate) services: Services,
    pub(crate) user: User,
}

pub(crate) type HouseNode = workflows::Node;

impl House {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let database = Database::open(&folder.path().join("wharfinger.db"))
            .await
            .unwrap();
        let content = Content::open(
            database.clone(),
            &folder.path().join("content"),
            None,
            clock.now(),
        )
        .await
        .unwrap();
        let founded = database
            .transact(move |tx| Box::pin(found(tx, clock)))
            .await;
        let user = founded.unwrap().unwrap();
        let services = Services {
            database,
            content,
            clock,
            task_export_dir: None,
            upload_expiry: Duration::from_hours(24),
            outbound: Outbound::new(Targets::PublicAndPrivate).unwrap(),
            public_url: None,
            progresses: workflows::proxy::Progresses::default(),
        };
        Self {
            folder,
            services,
            user,
        }
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, CatalogError>> + Send + 'static,
    ) -> T {
        self.services
            .database
            .transact(work)
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn journal(&self) -> Journal {
        Journal::new(self.services.database.clone())
    }

    pub(crate) async fn node(&self, drill: Option<Arc<dyn Drill>>) -> HouseNode {
        let mut options = NodeOptions::new(NodeId(Uuid::from_u128(1)), "house");
        options.poll = Duration::from_millis(100);
        let services = Arc::new(self.services.clone());
        let workflows = workflows::all(workflows::Backend::Embedded).unwrap();
        Node::start(
            options,
            self.journal(),
            services,
            workflows,
            self.services.clock,
            drill,
        )
        .await
        .unwrap()
    }

    pub(crate) async fn destination(&self, name: &str) -> Destination {
        let name: PushName = name.parse().unwrap();
        let at = self.services.clock.now();
        let made = self
            .services
            .database
            .transact::<Destination, ResolveError>(move |tx| {
                Box::pin(async move {
                    let to = destination::resolve(tx, &name).await?;
                    destination::make(tx, &to, at).await
                })
            });
        made.await.unwrap().unwrap()
    }

    /// Uploads a blob, as a client does.
    pub(crate) async fn blob(&self, to: &Destination, bytes: &[u8]) -> Digest {
        let (content, at) = (&self.services.content, self.services.clock.now());
        let upload = content.open_upload(to.id, self.user.id, at).await.unwrap();
        let body =
            futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(bytes))]);
        content.append(upload.id, None, body, at).await.unwrap();
        content
            .finish(upload.id, &Digest::of(bytes), at)
            .await
            .unwrap()
            .digest
    }

    /// An image with one layer that says `text`; its blobs are pushed.
    pub(crate) async fn image(&self, to: &Destination, text: &str) -> Manifest {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":{{"Labels":{{"text":"{text}"}}}}}}"#
        );
        let config_digest = self.blob(to, config.as_bytes()).await;
        let layer = self.blob(to, text.as_bytes()).await;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_IMAGE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{}}}]}}"#,
            config.len(),
            text.len()
        );
        let bytes = Bytes::from(manifest);
        Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap()
    }

    pub(crate) fn push(&self, to: &Destination, tag: Option<&str>, manifest: Manifest) -> NewPush {
        NewPush {
            user: self.user.clone(),
            to: to.clone(),
            tag: tag.map(|tag| tag.parse().unwrap()),
            manifest: Arc::new(manifest),
            client: Client::default(),
        }
    }

    pub(crate) async fn submit<St: Store<Tx = Tx>>(
        &self,
        node: &workflows::Node<St>,
        to: &Destination,
        tag: Option<&str>,
        manifest: &Manifest,
    ) -> Result<Submitted, PushError> {
        push::submit(node, self.push(to, tag, manifest.clone())).await
    }

    /// Submits a push that must make or find a plan.
    pub(crate) async fn plan<St: Store<Tx = Tx>>(
        &self,
        node: &workflows::Node<St>,
        to: &Destination,
        tag: &str,
        manifest: &Manifest,
    ) -> PlanId {
        match self.submit(node, to, Some(tag), manifest).await.unwrap() {
            Submitted::Plan { id, .. } => id,
            other @ (Submitted::Kept | Submitted::Unchanged) => {
                panic!("a plan was expected, not {other:?}")
            }
        }
    }

    /// What Library publishes under this tag.
    pub(crate) async fn pulled(&self, to: &Destination, tag: &str) -> Option<Digest> {
        let repository = RepositoryId::from(to.id);
        let mut tx = self.services.database.read().await.unwrap();
        let published = publications::library(&mut tx, repository).await.unwrap()?;
        let tag: Tag = tag.parse().unwrap();
        versions::tag(&mut tx, repository, published.version, &tag)
            .await
            .unwrap()
    }

    /// The repository as people see it: versions and what they changed, what is published, how large it is.
    pub(crate) async fn picture(&self, to: &Destination) -> String {
        let repository = RepositoryId::from(to.id);
        let mut tx = self.services.database.read().await.unwrap();
        let mut picture = String::new();
        for version in versions::list(&mut tx, repository, None, 100)
            .await
            .unwrap()
        {
            let versions::Version {
                number,
                added,
                removed,
                published_in,
                ..
            } = version;
            writeln!(
                picture,
                "{number}: +{added:?} -{removed:?} in {published_in:?}"
            )
            .unwrap();
        }
        let rows = repositories::list(&mut tx, repositories::Filter::default(), None, 100)
            .await
            .unwrap();
        for row in rows {
            let (name, product) = (row.name, row.product);
            let (mut tags, mut size) = (0, 0);
            if let Some(version) = row.published_version {
                let sizes = Sizes::default();
                tags = sizes.tags(&mut tx, row.id, version).await.unwrap();
                size = sizes.bytes(&mut tx, row.id, version).await.unwrap();
            }
            writeln!(picture, "{name} in {product}: {tags} tags, {size} bytes").unwrap();
        }
        picture
    }
}

impl House {
    /// The same house from now on with its content in a Pulp at this place, which has what was pushed to these.
    pub(crate) async fn move_to_pulp(&mut self, url: &str, has: &[&Destination]) {
        let at = self.services.clock.now();
        let has: Vec<_> = has.iter().map(|it| it.id).collect();
        self.write(move |tx| {
            Box::pin(async move {
                instance::set_backend(tx, instance::Backend::Pulp).await?;
                for it in has {
                    filling::in_pulp(tx, it, at).await?;
                }
                Ok(())
            })
        })
        .await;
        let options = PulpOptions {
            url: url.parse().unwrap(),
            content_url: None,
            domain: None,
            prefix: "wharfinger".into(),
            login: Login::Password {
                username: "admin".into(),
                password: "secret".into(),
            },
            authorities: Vec::new(),
            spool_bytes: 1 << 30,
            clock: self.services.clock,
        };
        let (database, folder) = (self.services.database.clone(), self.folder.path());
        let content = Content::open(database, &folder.join("content"), Some(options), at).await;
        self.services.content = content.unwrap();
    }

    /// The products and repositories that there are.
    pub(crate) async fn inventory(&self) -> String {
        let mut tx = self.services.database.read().await.unwrap();
        let organization = organizations::find(&mut tx, "acme").await.unwrap().unwrap();
        let products = products::list(&mut tx, organization.id, None, 100);
        let products = products.await.unwrap();
        let rows = repositories::list(&mut tx, repositories::Filter::default(), None, 100);
        let rows = rows.await.unwrap();
        let products: Vec<String> = products.into_iter().map(|it| it.label).collect();
        let rows: Vec<String> = rows
            .into_iter()
            .map(|row| format!("{}/{}", row.product, row.name))
            .collect();
        format!("products {products:?}, repositories {rows:?}")
    }
}

async fn found(tx: &mut Tx, clock: Clock) -> Result<User, CatalogError> {
    let at = clock.now();
    let new = NewOrganization {
        label: Label::parse("acme").unwrap(),
        name: "Acme".into(),
    };
    let organization = organizations::create(tx, &new, at).await?;
    let user = NewUser {
        login: "alice".into(),
        name: "Alice".into(),
        email: None,
        password_hash: "none".into(),
        enabled: true,
    };
    let user = users::create(tx, &user, at).await?;
    let scope = Scope {
        organization: Some(organization.id),
        ..Scope::default()
    };
    grants::create(tx, user.id, Role::Publisher, scope, at).await?;
    Ok(user)
}

/// What every world has that lives in a house.
macro_rules! of_a_house {
    () => {
        type Services = workflows::Services;
        type Store = storage::journal::Journal;

        fn store(&self) -> Self::Store {
            self.house.journal()
        }

        fn services(&self) -> std::sync::Arc<Self::Services> {
            std::sync::Arc::new(self.house.services.clone())
        }

        fn workflows() -> engine::node::Workflows<Self::Services> {
            workflows::all(workflows::Backend::Embedded).unwrap()
        }
    };
}

pub(crate) use of_a_house;
