//! Behind nginx, Apache, `HAProxy` and Caddy, each with the very file that `docs/operate/proxies` shows.

mod addresses;
mod refusals;
mod streaming;

use tests::image::Image;
use tests::oci_layout;
use tests::podman::Podman;
use tests::proxy::{Kind, Proxy};
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tests::skopeo::Skopeo;

const NAME: &str = "default_organization/tools/app";
const MIB: u64 = 1 << 20;

/// A server with a proxy in front.
struct Front {
    proxy: Proxy,
    server: Server,
}

impl Front {
    async fn start(kind: Kind, options: &[&str]) -> Self {
        Self::start_through(&[], kind, options).await
    }

    /// The same, with a program that starts the server.
    async fn start_through(through: &[String], kind: Kind, options: &[&str]) -> Self {
        let port = server::free_port();
        let public_url = format!("--public-url=https://127.0.0.1:{port}");
        let own = [&public_url[..], "--trusted-proxies=127.0.0.1"];
        let server = Server::start_through(through, &[&own, options].concat()).await;
        let proxy = Proxy::start(kind, port, &server.host()).await;
        Self { proxy, server }
    }

    /// A podman that trusts the proxy's certificate and has logged in through it.
    async fn podman(&self) -> Podman {
        let authority = self.proxy.trusted_dir().join("ca.crt");
        let podman = Podman::trusting(&self.proxy.host(), &authority);
        let login = podman
            .login(&self.proxy.host(), ADMIN, ADMIN_PASSWORD)
            .await;
        login.expect_code(0);
        podman
    }
}

/// Every check, behind one proxy.
macro_rules! behind {
    ($module:ident, $kind:expr) => {
        mod $module {
            use super::*;

            #[tokio::test]
            async fn podman_and_skopeo_push_and_pull_over_tls() {
                super::podman_and_skopeo_push_and_pull_over_tls($kind).await;
            }

            #[tokio::test]
            async fn tokens_and_locations_lead_back_through_the_proxy() {
                addresses::tokens_and_locations_lead_back_through_the_proxy($kind).await;
            }

            #[tokio::test]
            async fn a_client_is_known_by_its_own_address_and_cannot_forge_another() {
                addresses::a_client_is_known_by_its_own_address_and_cannot_forge_another($kind)
                    .await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_layer_of_256_mib_streams_both_ways_without_lying_on_the_proxys_disk() {
                streaming::a_layer_streams_both_ways($kind).await;
            }

            #[tokio::test]
            async fn a_push_that_waits_and_a_layer_that_stands_still_are_not_cut() {
                streaming::a_push_that_waits_and_a_layer_that_stands_still_are_not_cut($kind).await;
            }

            #[tokio::test]
            async fn events_of_a_task_come_as_they_happen() {
                streaming::events_of_a_task_come_as_they_happen($kind).await;
            }

            #[tokio::test]
            async fn a_paused_push_is_told_to_podman_in_the_servers_words() {
                refusals::a_paused_push_is_told_to_podman_in_the_servers_words($kind).await;
            }

            #[tokio::test]
            async fn refusals_and_warnings_come_unchanged() {
                refusals::refusals_and_warnings_come_unchanged($kind).await;
            }

            #[tokio::test]
            async fn a_full_disk_is_507_behind_the_proxy_too() {
                refusals::a_full_disk_is_507_behind_the_proxy_too($kind).await;
            }
        }
    };
}

behind!(nginx, Kind::Nginx);
behind!(apache, Kind::Apache);
behind!(haproxy, Kind::Haproxy);
behind!(caddy, Kind::Caddy);

async fn podman_and_skopeo_push_and_pull_over_tls(kind: Kind) {
    let front = Front::start(kind, &[]).await;
    let host = front.proxy.host();
    let podman = front.podman().await;
    let place = format!("{host}/{NAME}:podman");
    let id = podman.make_image(&place, 1).await;
    podman.push(&place).await.expect_code(0);
    podman.remove_all_images().await;
    podman.pull(&place).await.expect_code(0);
    assert_eq!(podman.image_id(&place).await, id);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = Image::small(2);
    let layout = oci_layout::of_image(&folder.path().join("there"), &image);
    let skopeo = Skopeo::with_login(ADMIN, ADMIN_PASSWORD).trusting(&front.proxy.trusted_dir());
    let copied = format!("{host}/{NAME}:skopeo");
    skopeo.push(&layout, &copied).await.expect_code(0);
    let back = folder.path().join("back");
    skopeo.pull_all(&copied, &back).await.expect_code(0);

    assert_eq!(
        oci_layout::blob(&back, &image.digest).as_deref(),
        Some(&image.manifest[..])
    );
    let tags = skopeo.list_tags(&format!("{host}/{NAME}")).await;
    let tags = tags.expect_code(0).stdout;
    assert!(tags.contains("podman") && tags.contains("skopeo"), "{tags}");
}
