//! What a push into a Pulp costs this process.

use std::fs;
use std::time::{Duration, Instant};

use tests::image::{self, Image, MANIFEST, described};
use tests::noise::{self, Long};
use tests::pulp::Which;
use tests::server::Server;
use tests::turn;

use super::by_hand::ByHand;

const MIB: u64 = 1 << 20;
const NAME: &str = "default_organization/freight/heavy";

/// Ticks of the processor that the server has used, a hundred a second.
fn ticks(server: &Server) -> u64 {
    let path = format!("/proc/{}/stat", server.pid());
    let stat = fs::read_to_string(path).expect("Linux shows every process there");
    let (_, fields) = stat.rsplit_once(") ").expect("its name is in parentheses");
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |n: usize| fields[n].parse::<u64>().expect("a number of ticks");
    number(11) + number(12)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_of_128_mib_goes_to_pulp_through_64_mib_of_memory_and_comes_back() {
    let _turn = turn::heavy().await;
    let server = Which::Newest
        .shared()
        .await
        .server(&["--push-wait=120s"])
        .await;
    let oci = server.oci();
    let layer = Long::new(noise::unique(), 128 * MIB);
    let digest = layer.digest();
    let config = bytes::Bytes::from(
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
    );
    oci.try_push_blob(NAME, &config).await.unwrap();

    let before = ticks(&server);
    oci.push_long_blob(NAME, &layer, &digest).await;
    let part =
        serde_json::json!({"mediaType": image::LAYER, "digest": digest, "size": layer.size()});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": described(image::CONFIG, &config), "layers": [part],
    });
    let manifest = bytes::Bytes::from(manifest.to_string());
    oci.put_manifest(NAME, "latest", MANIFEST, &manifest)
        .await
        .expect_status(201);
    let used = ticks(&server) - before;
    let peak = server.peak_memory_mib();

    let pulled = oci.pull_blob(NAME, &digest).await;
    assert_eq!(pulled, (digest, layer.size()));
    println!(
        "a layer of 128 MiB into Pulp: {used} hundredths of a second of the processor, {peak} MiB at most"
    );
    assert!(peak <= 64, "the server's peak memory was {peak} MiB");
}

/// A benchmark, for a machine with nothing else to do and a release build. Both are first pushes of new names, one by one in turn,
/// by a client that sends one request after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures times"]
async fn a_small_push_takes_four_fifths_of_one_straight_into_pulp_and_its_rest_by_hand() {
    const ROUNDS: usize = 10;
    let _turn = turn::heavy().await;
    for which in Which::ALL {
        let pulp = which.shared().await;
        let (server, hand) = (pulp.server(&[]).await, ByHand::log_in(pulp).await);
        let oci = server.oci();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let image = Image::small(noise::unique());
            let (name, unique) = (
                format!("default_organization/bench/r{round}"),
                noise::unique(),
            );
            // As everybody who pushes twice to one registry.
            oci.service().await.expect("the server answers");
            let begun = Instant::now();
            oci.push(&name, "latest", &image).await.expect_status(201);
            let took = begun.elapsed();
            let warning = server.rest().only_push_of(&name, "latest").await;
            assert_eq!(warning["result"], "success", "{warning}");

            let image = Image::small(noise::unique());
            let (pushed, own) = (format!("h{unique:x}-push/app"), format!("h{unique:x}/app"));
            let begun = Instant::now();
            hand.push(&pushed, "latest", &image).await;
            let direct = begun.elapsed();
            hand.publish(&pushed, &own, "latest").await;
            // The first round finds nothing warm.
            if round > 0 {
                ours.push(took);
                theirs.push(begun.elapsed());
                println!(
                    "{which:?}: {took:?} beside {:?}, of it {direct:?} the push",
                    begun.elapsed()
                );
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{which:?}: {ours:?} beside {theirs:?} in the middle: {ratio:.2} of it");
        assert!(ratio <= 0.8, "{ratio:.2}");
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
