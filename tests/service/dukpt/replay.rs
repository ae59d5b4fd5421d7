//! A KSN that comes again: refused where the base key's policy looks, taken where it does not.

use pintle::client::Client;
use pintle::domain::dukpt::Purpose;
use pintle::domain::pin_block::Format;
use pintle::service::pb::v1::mac_service_client::MacServiceClient;
use tonic::Code;

use crate::dukpt::{check, derived, ksn, mac_of, make, pin_in, translation};
use crate::refusal::assert_refused;
use crate::world::{key, world};

#[test]
fn verify_mac_refuses_a_ksn_that_came_before_where_the_policy_looks() {
    world().run(async |world| {
        let client = world.client().await;
        let base = "bdk-once";
        let ask = async |client: &Client, device, counter| {
            let ksn = ksn(base, device, counter);
            let mac = mac_of(base, &ksn, Purpose::MacRequest);
            client.verify_mac(check(derived(base, &ksn), &mac)).await
        };
        assert!(ask(&client, 1, 5).await.unwrap().valid);
        for old in [5, 4, 1] {
            let answer = ask(&client, 1, old).await;
            assert_refused(answer, Code::FailedPrecondition, "KSN_REPLAYED", "key.ksn");
        }
        assert!(ask(&client, 2, 5).await.unwrap().valid, "another device");
        assert!(ask(&client, 1, 6).await.unwrap().valid);
        // The same transaction's other operations are its own, and come once too.
        let ksn = ksn(base, 1, 6);
        let response = make(derived(base, &ksn));
        assert_eq!(
            client.generate_mac(response.clone()).await.unwrap().mac,
            mac_of(base, &ksn, Purpose::MacResponse)
        );
        let answer = client.generate_mac(response).await;
        assert_refused(answer, Code::FailedPrecondition, "KSN_REPLAYED", "key.ksn");
        let sent = pin_in(base, &ksn, Format::Iso4, "1234");
        let asked = translation(derived(base, &ksn), Format::Iso4, key("zpk-out-aes"), sent);
        client.translate_pin(asked.clone()).await.unwrap();
        let answer = client.translate_pin(asked).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "KSN_REPLAYED",
            "source_key.ksn",
        );
    });
}

/// The control of the test above: a base key whose policy does not look.
#[test]
fn verify_mac_accepts_a_ksn_again_where_the_policy_does_not_look() {
    world().run(async |world| {
        let client = world.client().await;
        let ksn = ksn("bdk-aes", 9, 5);
        let mac = mac_of("bdk-aes", &ksn, Purpose::MacRequest);
        for _ in 0..2 {
            let answer = client
                .verify_mac(check(derived("bdk-aes", &ksn), &mac))
                .await;
            assert!(answer.unwrap().valid);
        }
    });
}

#[test]
fn verify_mac_accepts_counters_out_of_order_within_the_window_once_each() {
    world().run(async |world| {
        let client = world.client().await;
        let base = "bdk-window";
        // Three below the highest may still come, one more may not.
        for (counter, passes) in [
            (10, true),
            (8, true),
            (7, true),
            (6, false),
            (8, false),
            (10, false),
            (9, true),
            (9, false),
            (12, true),
            (8, false),
            (11, true),
        ] {
            let ksn = ksn(base, 1, counter);
            let mac = mac_of(base, &ksn, Purpose::MacRequest);
            let answer = client.verify_mac(check(derived(base, &ksn), &mac)).await;
            if passes {
                assert!(answer.unwrap().valid, "{counter}");
            } else {
                assert_refused(answer, Code::FailedPrecondition, "KSN_REPLAYED", "key.ksn");
            }
        }
    });
}

#[test]
fn verify_mac_refuses_all_but_one_of_many_replays_at_once() {
    world().run(async |world| {
        let client = MacServiceClient::new(world.channel().await);
        let ksn = ksn("bdk-once", 77, 1);
        let mac = mac_of("bdk-once", &ksn, Purpose::MacRequest);
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (mut client, asked) = (client.clone(), check(derived("bdk-once", &ksn), &mac));
            racers.spawn(async move { client.verify_mac(asked).await });
        }
        let answers = racers.join_all().await;
        let passed = answers.into_iter().filter(Result::is_ok).count();
        assert_eq!(passed, 1);
    });
}
