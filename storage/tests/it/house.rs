//! A house to test in: a database and a content folder, with one organization, one user and one destination.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use storage::catalog::destinations::{self, Destination};
use storage::catalog::manifests::Manifest;
use storage::catalog::organizations::{self, NewOrganization, Organization};
use storage::catalog::products::{self, Product};
use storage::catalog::repositories::{self, Repository};
use storage::catalog::users::{self, NewUser, User};
use storage::catalog::{CatalogError, DestinationId, environments, manifests, pushed};
use storage::database::{BoxFuture, Database};
use storage::{Content, Digest, Label, Tag, Tx};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const AT: Timestamp = Timestamp(1_000);
pub(crate) const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) database: Database,
    pub(crate) content: Content,
    pub(crate) organization: Organization,
    pub(crate) user: User,
    pub(crate) destination: Destination,
}

impl House {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, content) = open(&folder).await;
        let founded = database.transact(|tx| Box::pin(found(tx))).await;
        let (organization, user, destination) = founded.unwrap().unwrap();
        Self {
            folder,
            database,
            content,
            organization,
            user,
            destination,
        }
    }

    /// Ends everything and opens it again, as a restart does.
    pub(crate) async fn restart(self) -> Self {
        self.content.close().await;
        self.database.close().await;
        let (database, content) = open(&self.folder).await;
        Self {
            database,
            content,
            ..self
        }
    }

    /// Runs a catalog function in a transaction of its own.
    pub(crate) async fn write<T: Send + 'static, E: std::fmt::Debug + Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    ) -> T {
        self.database.transact(work).await.unwrap().unwrap()
    }

    /// As [`write`](Self::write), for what shall be refused.
    pub(crate) async fn refused<T: std::fmt::Debug + Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, CatalogError>> + Send + 'static,
    ) -> CatalogError {
        self.database.transact(work).await.unwrap().unwrap_err()
    }

    pub(crate) async fn read(&self) -> Tx {
        self.database.read().await.unwrap()
    }

    /// The product `tools` and the repository of the destination in it.
    pub(crate) async fn repository(&self) -> (Product, Repository) {
        let (organization, destination) = (self.organization.id, self.destination.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let tools = label("tools");
                let made = products::ensure(tx, organization, &tools, "Tools", plan(0), AT);
                let product = made.await?.found;
                let made = repositories::ensure(tx, &destination, product.id, plan(0), AT);
                Ok::<_, CatalogError>((product, made.await?.found))
            })
        })
        .await
    }

    /// A manifest that was pushed to the destination.
    pub(crate) async fn manifest(&self, name: &str) -> Digest {
        let manifest = image(name);
        self.push(self.destination.id, manifest).await
    }

    /// Pushes a manifest by its digest.
    pub(crate) async fn push(&self, to: DestinationId, manifest: Manifest) -> Digest {
        let (user, digest) = (self.user.id, manifest.digest);
        self.write(move |tx| {
            Box::pin(async move {
                manifests::put(tx, &manifest, AT).await?;
                pushed::add(tx, to, &manifest, user, AT).await
            })
        })
        .await;
        digest
    }

    pub(crate) async fn library(&self) -> storage::catalog::EnvironmentId {
        let mut tx = self.read().await;
        environments::library(&mut tx, self.organization.id)
            .await
            .unwrap()
            .id
    }
}

async fn open(folder: &TempDir) -> (Database, Content) {
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    let content = Content::open(database.clone(), &folder.path().join("content"), None, AT)
        .await
        .unwrap();
    (database, content)
}

async fn found(tx: &mut Tx) -> Result<(Organization, User, Destination), CatalogError> {
    let new = NewOrganization {
        label: label("Acme"),
        name: "Acme Inc.".to_owned(),
    };
    let organization = organizations::create(tx, &new, AT).await?;
    let user = users::create(tx, &new_user("Ann"), AT).await?;
    let destination =
        destinations::make(tx, organization.id, &label("tools"), "busybox", AT).await?;
    Ok((organization, user, destination))
}

pub(crate) fn new_user(login: &str) -> NewUser {
    NewUser {
        login: login.to_owned(),
        name: login.to_owned(),
        email: None,
        password_hash: "hash".to_owned(),
        enabled: true,
    }
}

pub(crate) fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn plan(number: u128) -> PlanId {
    PlanId(Uuid::from_u128(number))
}

/// An image of one config and one layer, all named after `name`.
pub(crate) fn image(name: &str) -> Manifest {
    let descriptor = |kind: &str| {
        let digest = Digest::of(format!("{name} {kind}").as_bytes());
        serde_json::json!({"digest": digest, "size": 10, "mediaType": kind})
    };
    let document = serde_json::json!({
        "schemaVersion": 2, "config": descriptor("config"), "layers": [descriptor("layer")],
        "annotations": {"name": name},
    });
    let bytes = bytes::Bytes::from(document.to_string());
    Manifest::read(Digest::of(&bytes), OCI_IMAGE, bytes).unwrap()
}
